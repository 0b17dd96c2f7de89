//! Slow statements, used-up pools, and a writer that is away alone.

use std::time::Duration;

use serde_json::json;

use crate::definitions::{Team, continuity};
use crate::gate::{Gate, Way};
use crate::report::AT_ONCE;
use crate::service::Service;
use crate::world::{World, until};

fn recovered(service: &Service, team: Team) {
    until("persons", || (!service.ask(team).has_errors()).then_some(()));
}

#[test]
fn slow_statements_and_used_up_pools() {
    let world = World::new(&["redis"]);
    let team = Team(1);
    world.everywhere(team);
    let canceled = Service::start(&world, &[("NON_PERSONS_READER_STATEMENT_TIMEOUT_MS", "400")]);
    let deadline = Service::start(&world, &[("PERSONS_DB_DEADLINE_MS", "300")]);
    let narrow = Service::start(
        &world,
        &[("MAX_PG_CONNECTIONS", "1"), ("ACQUIRE_TIMEOUT_SECS", "1")],
    );
    for service in [&canceled, &deadline, &narrow] {
        service.ask(team).complete("redis");
    }
    let locked = world.lock("posthog_person");
    canceled
        .ask(team)
        .row(
            "PostgreSQL slow, statement timeout 400 ms",
            Duration::from_millis(400),
        )
        .degraded(&[("person", "timeout:query_canceled")]);
    deadline
        .ask(team)
        .row(
            "PostgreSQL slow, persons deadline 300 ms",
            Duration::from_millis(300),
        )
        .degraded(&[("person", "timeout:persons_db_deadline")]);
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| narrow.ask(team));
        until("the only connection is in use", || {
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                           AND application_name = 'feature-flags' AND wait_event_type = 'Lock'";
            (world.sql(waiting) == ["1"]).then_some(())
        });
        narrow
            .ask(team)
            .row("pool used up, acquire timeout 1 s", Duration::from_secs(1))
            .degraded(&[("person", "timeout:pool_timeout")]);
        holder
            .join()
            .expect("an answer")
            .row("pool used up, the request that uses it", Duration::from_secs(2))
            .degraded(&[("person", "timeout:query_canceled")]);
    });
    // One uses it, four wait; beyond them nobody queues.
    std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..16).map(|_| scope.spawn(|| narrow.ask(team))).collect();
        let mut at_once = 0;
        for member in crowd {
            let answer = member.join().expect("an answer");
            at_once += u32::from(answer.took < Duration::from_millis(500));
            let reason = answer.reason("person").to_owned();
            let known = [
                "timeout:pool_timeout",
                "timeout:query_canceled",
                "database_unavailable",
            ];
            assert!(known.contains(&reason.as_str()), "{answer:?}");
            answer
                .row("pool used up, 16 requests at once", Duration::from_secs(2))
                .degraded(&[]);
        }
        assert!(at_once >= 10, "{at_once} did not queue");
    });
    locked.release();
    for service in [&canceled, &deadline, &narrow] {
        recovered(service, team);
        service
            .ask(team)
            .row("PostgreSQL slow, going again", AT_ONCE)
            .complete("redis");
    }
}

#[test]
fn the_persons_writer_away_alone() {
    let world = World::new(&["redis"]);
    let team = Team(1);
    world.everywhere(team);
    world.flags_in_redis("redis", team, &team.entry_with("redis", &[continuity(team)]));
    let (before, after) = world.database_url.split_once("@127.0.0.1:").expect("loopback");
    let (port, database) = after.split_once('/').expect("a database");
    let gate = Gate::to(format!("127.0.0.1:{port}").parse().expect("an address"));
    let writer = format!("{before}@{}/{database}", gate.address);
    let reader = world.database_url.clone();
    let service = Service::start(
        &world,
        &[
            ("PERSONS_READ_DATABASE_URL", &reader),
            ("PERSONS_WRITE_DATABASE_URL", &writer),
        ],
    );
    let anonymous = json!({ "$anon_distinct_id": "anon" });
    gate.set(Way::Closed);
    let answer = service
        .ask_with(team, anonymous.clone())
        .row(
            "persons writer down, override to be written",
            Duration::from_millis(500),
        )
        .degraded(&[("continuity", "hash_key_override_error")]);
    assert!(answer.is_on("person"), "{answer:?}");
    service
        .ask(team)
        .row("persons writer down, nothing to write", AT_ONCE)
        .complete("redis");
    gate.set(Way::Open);
    until("the writer", || {
        (!service.ask_with(team, anonymous.clone()).has_errors()).then_some(())
    });
    service
        .ask_with(team, anonymous)
        .row("persons writer down, back", AT_ONCE)
        .complete("redis");
    let written = world.sql("SELECT hash_key FROM posthog_featureflaghashkeyoverride WHERE team_id = 1");
    assert_eq!(written, ["anon"]);
    assert!(gate.accepted() > 0, "the writer was used");
}
