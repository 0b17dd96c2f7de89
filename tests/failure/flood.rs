//! A flood of tokens that nobody has: lookups are bounded, and each is made once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::definitions::Team;
use crate::report::{AT_ONCE, REQUEST_TIMEOUT, row};
use crate::service::Service;
use crate::world::{World, until};

/// `TEAM_LOOKUP_CONCURRENCY` of this test.
const LOOKUPS: usize = 4;
const CLIENTS: i32 = 32;

/// Statements of the service that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name = 'feature-flags' AND wait_event_type = 'Lock'";

#[test]
fn lookups_of_unknown_tokens_are_bounded_and_remembered() {
    let world = World::new(&["redis"]);
    let known = Team(1);
    world.everywhere(known);
    let lookups = LOOKUPS.to_string();
    let service = Service::start(&world, &[("TEAM_LOOKUP_CONCURRENCY", &lookups)]);
    service.ask(known).complete("redis");

    let locked = world.lock("posthog_team");
    let seen = Mutex::new(BTreeMap::<u16, usize>::new());
    let waited = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (service, seen) = (&service, &seen);
                scope.spawn(move || {
                    let answer = service.ask(Team(10_000 + client));
                    assert!(
                        answer.took <= REQUEST_TIMEOUT + Duration::from_secs(1),
                        "{answer:?}"
                    );
                    *seen.lock().expect("whole").entry(answer.status).or_default() += 1;
                    answer.took
                })
            })
            .collect();
        until("the lookups that are allowed", || {
            let waiting: usize = world.sql(WAITING)[0].parse().expect("a number");
            assert!(waiting <= LOOKUPS, "{waiting} lookups at once");
            (waiting == LOOKUPS).then_some(())
        });
        let held = service
            .ask(known)
            .row("flood of unknown tokens, known team", AT_ONCE)
            .complete("redis");
        locked.release();
        let waits: Vec<_> = clients
            .into_iter()
            .map(|client| client.join().expect("an answer"))
            .collect();
        waits.into_iter().max().unwrap_or(held.took)
    });
    let seen = seen.into_inner().expect("whole");
    row(
        "flood of unknown tokens, lookups held up",
        &format!("{seen:?}"),
        waited,
    );
    assert!(
        seen.get(&503)
            .is_some_and(|refused| *refused >= CLIENTS as usize - 2 * LOOKUPS),
        "{seen:?}"
    );
    assert!(seen.keys().all(|status| [401, 503].contains(status)), "{seen:?}");

    // Each is looked up once; asked again, nobody is.
    let tokens: Vec<Team> = (20_000..20_020).map(Team).collect();
    for team in &tokens {
        service.ask(*team).refused(401, "authentication_failed");
    }
    let _locked = world.lock("posthog_team");
    for team in &tokens {
        service.ask(*team).refused(401, "authentication_failed");
    }
    service
        .ask(tokens[0])
        .row("unknown token again, lookups held up", AT_ONCE)
        .refused(401, "authentication_failed");
    assert_eq!(world.sql(WAITING), ["0"]);
}
