//! How long changes take to be answered by every process.

use std::time::{Duration, Instant};

use crate::process::{Process, ask, version};
use crate::world::World;

/// What is promised, at the 99th percentile (`design.md`, Freshness).
pub const PROMISED: Duration = Duration::from_millis(100);

/// The default of `SNAPSHOT_SOFT_TTL_MS`.
pub const SOFT_TTL: Duration = Duration::from_secs(2);

/// Longest wait for anything; far above every bound that is tested.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two requests of one watcher: steady traffic that leaves the processor to those who are measured.
const PACE: Duration = Duration::from_millis(2);

/// Asks a process until the answer is what is waited for; the moment of that answer.
fn watch(process: &Process, mut is_it: impl FnMut(&mut crate::client::Client, usize) -> bool) -> Instant {
    let (start, mut client) = (Instant::now(), process.client());
    for person in 0.. {
        if is_it(&mut client, person) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "the change is not answered");
        std::thread::sleep(PACE);
    }
    Instant::now()
}

/// Waits until every process answers with this version.
pub fn wait_for(processes: &[Process], team: i32, wanted: i32) {
    for process in processes {
        watch(process, |client, person| {
            version(&ask(client, team, person)) == wanted
        });
    }
}

/// Changes each team to this version, one after the other, while all processes are asked for all teams. For each team, how
/// long until the last process answered with it.
pub fn change_all(
    world: &World,
    processes: &[Process],
    teams: &[i32],
    wanted: i32,
    between: Duration,
) -> Vec<Duration> {
    std::thread::scope(|scope| {
        let watching: Vec<Vec<_>> = teams
            .iter()
            .map(|team| {
                let watcher = |process| {
                    scope.spawn(move || {
                        watch(process, |client, person| {
                            version(&ask(client, *team, person)) == wanted
                        })
                    })
                };
                processes.iter().map(watcher).collect()
            })
            .collect();
        let mut changed = Vec::new();
        for team in teams {
            changed.push(world.change(*team, wanted));
            std::thread::sleep(between);
        }
        let seen = watching.into_iter().map(|watchers| {
            let moments = watchers.into_iter().map(|watcher| watcher.join().unwrap());
            moments.max().expect("there are processes")
        });
        seen.zip(changed).map(|(seen, changed)| seen - changed).collect()
    })
}

/// One change of one team.
pub fn change(world: &World, processes: &[Process], team: i32, wanted: i32) -> Duration {
    change_all(world, processes, &[team], wanted, Duration::ZERO)[0]
}

/// How long until every process knows the token, counted from `began`'s moment, which is taken while they are asked.
pub fn known(processes: &[Process], team: i32, began: impl FnOnce() -> Instant) -> Duration {
    std::thread::scope(|scope| {
        let watching: Vec<_> = processes
            .iter()
            .map(|process| {
                scope.spawn(move || watch(process, |client, person| ask(client, team, person).status == 200))
            })
            .collect();
        let began = began();
        let seen = watching.into_iter().map(|watcher| watcher.join().unwrap());
        seen.max().expect("there are processes") - began
    })
}

/// Announced changes come within what is promised, but for one in fifty.
pub fn expect_promised(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    let (p50, p99, max) = (at(50), at(99), at(100));
    println!(
        "{what}: {} changes, p50 {p50:?}, p99 {p99:?}, max {max:?}",
        times.len()
    );
    let late = times.iter().filter(|time| **time > PROMISED).count();
    let allowed = (times.len() / 66).max(1);
    assert!(
        late <= allowed,
        "{late} of {} above {PROMISED:?}: {times:?}",
        times.len()
    );
}
