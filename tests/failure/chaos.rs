//! Everything at once and in turn: parts die, hang and come back under load.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::definitions::Team;
use crate::gate::{Gate, Way};
use crate::report::{REQUEST_TIMEOUT, row};
use crate::service::Service;
use crate::world::{World, until};

const CLIENTS: usize = 4;
const TEAMS: i32 = 60;
/// Asked for before anything fails.
const WARM: i32 = 5;

/// What was seen of one kind of team: answers by status, and the slowest.
#[derive(Default)]
struct Seen {
    statuses: BTreeMap<u16, u32>,
    slowest: Duration,
}

/// In turn alone, then together; each long enough for definitions to grow too old.
fn disturb(world: &World, objects: &Gate) {
    let pause = || std::thread::sleep(Duration::from_millis(700));
    for turn in [
        &["pause redis"][..],
        &["resume redis", "pause postgres"],
        &["kill redis"],
        &["resume postgres", "kill postgres"],
        &["start redis", "start postgres"],
        &["pause redis", "pause postgres"],
        &["resume redis", "kill redis", "resume postgres", "kill postgres"],
    ] {
        turn.iter().for_each(|command| world.servers.command(command));
        pause();
    }
    objects.set(Way::Stalled);
    pause();
    objects.set(Way::Closed);
    pause();
    world.servers.command("start postgres");
    pause();
    objects.set(Way::Open);
    world.servers.command("start redis");
}

#[test]
fn known_teams_are_never_unknown_and_nobody_waits_for_ever() {
    let world = World::new(&["redis", "postgres"]);
    for team in (1..=TEAMS).map(Team) {
        world.everywhere(team);
    }
    let objects = Gate::to(world.object_address());
    let endpoint = format!("http://{}", objects.address);
    let mut service = Service::start(
        &world,
        &[
            ("SNAPSHOT_SOFT_TTL_MS", "200"),
            ("SNAPSHOT_HARD_TTL_MS", "600"),
            ("OBJECT_STORAGE_ENDPOINT", &endpoint),
        ],
    );
    for team in (1..=WARM).map(Team) {
        service.ask(team).complete("redis");
    }
    let (running, seen) = (
        AtomicBool::new(true),
        Mutex::new([Seen::default(), Seen::default()]),
    );
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (service, running, seen) = (&service, &running, &seen);
            scope.spawn(move || {
                // Every client meets every team, cold ones in its own time.
                for at in (client..).step_by(CLIENTS) {
                    if !running.load(Ordering::Relaxed) {
                        return;
                    }
                    let warm = at % 2 == 0;
                    let id = if warm {
                        at as i32 / 2 % WARM
                    } else {
                        WARM + at as i32 / 40 % (TEAMS - WARM)
                    };
                    let body = json!({ "person_properties": { "plan": "pro" } });
                    let answer = service.ask_with(Team(id + 1), body);
                    let limit = REQUEST_TIMEOUT + Duration::from_secs(1);
                    assert!(
                        answer.took <= limit && [200, 503].contains(&answer.status),
                        "{answer:?}"
                    );
                    assert!(
                        !warm || (answer.status == 200 && !answer.has_errors()),
                        "{answer:?}"
                    );
                    let mut seen = seen.lock().expect("whole");
                    let kind = &mut seen[usize::from(!warm)];
                    *kind.statuses.entry(answer.status).or_default() += 1;
                    kind.slowest = kind.slowest.max(answer.took);
                    drop(seen);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
        disturb(&world, &objects);
        running.store(false, Ordering::Relaxed);
    });
    let [warm, cold] = seen.into_inner().expect("whole");
    row(
        "everything at once, held teams, slowest answer",
        &format!("{:?}", warm.statuses),
        warm.slowest,
    );
    row(
        "everything at once, other teams, slowest answer",
        &format!("{:?}", cold.statuses),
        cold.slowest,
    );

    let start = Instant::now();
    for team in (1..=TEAMS).map(Team) {
        until("recovery", || {
            let answer = service.ask(team);
            (answer.status == 200 && !answer.has_errors()).then_some(())
        });
    }
    row(
        "everything at once, all teams complete again",
        "200",
        start.elapsed(),
    );
    assert!(service.is_running(), "{:?}", service.errors());
}
