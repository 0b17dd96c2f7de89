//! PostgreSQL dies or hangs: what needs nothing stored is answered, the rest says why it is not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::definitions::{Team, continuity};
use crate::report::{AT_ONCE, PERSONS_DEADLINE, REQUEST_TIMEOUT, row};
use crate::service::{Service, settings};
use crate::world::{World, until};

/// Longest pauses between the four attempts to read overrides, and the three of a check (`storage.md` 5.5).
const READ_PAUSES: Duration = Duration::from_millis(650);
const CHECK_PAUSES: Duration = Duration::from_millis(400);

/// Statements of services that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name = 'feature-flags' AND wait_event_type = 'Lock'";

const UNREACHABLE: &str = "Our database service is currently unavailable";

/// What makes a request need no stored person: its properties, and no flag with experience continuity.
fn self_sufficient() -> Value {
    let keys = ["always", "person", "dependent", "from_redis"];
    json!({ "person_properties": { "plan": "pro" }, "flag_keys": keys })
}

/// A world with a warm team that has a continuity flag, a team whose flags are nowhere, and one that is nowhere at all.
fn world() -> (World, [Team; 3]) {
    let world = World::new(&["redis", "postgres"]);
    let [warm, headless, nowhere] = [1, 2, 3].map(Team);
    world.everywhere(warm);
    world.flags_in_redis("redis", warm, &warm.entry_with("redis", &[continuity(warm)]));
    world.in_postgres(nowhere);
    world.in_postgres(headless);
    let metadata = crate::definitions::stored(&headless.metadata());
    world.put_redis("redis", &headless.team_key().redis(), &metadata);
    (world, [warm, headless, nowhere])
}

#[test]
fn postgres_killed() {
    let (world, [warm, headless, nowhere]) = world();
    let service = Service::start(&world, &[]);
    let unasked = Service::start(&world, &[("READINESS_CHECKS_DATABASE", "false")]);
    service.ask(warm).complete("redis");
    until("readiness", || {
        (service.get("/_readiness").status == 200).then_some(())
    });
    // Connections that were open before are of no use any more; whoever gets one does not notice.
    world.servers.command("kill postgres");
    world.servers.command("start postgres");
    service
        .ask(warm)
        .row("PostgreSQL restarted between two requests", AT_ONCE)
        .complete("redis");
    let locked = world.lock("posthog_person");
    std::thread::scope(|scope| {
        let keys = json!({ "flag_keys": ["always", "person", "dependent"] });
        let waiting = scope.spawn(|| service.ask_with(warm, keys));
        until("the statement", || (world.sql(WAITING) == ["1"]).then_some(()));
        world.servers.command("kill postgres");
        let answer = waiting.join().expect("an answer");
        answer
            .row("PostgreSQL killed under a statement", Duration::from_secs(1))
            .degraded(&[("person", "database_unavailable")]);
    });
    drop(locked);
    service
        .ask_with(warm, self_sufficient())
        .row("PostgreSQL killed, no person data needed", AT_ONCE)
        .complete("redis");
    service
        .ask(warm)
        .row("PostgreSQL killed, person data needed", READ_PAUSES + AT_ONCE)
        .degraded(&[("person", "database_unavailable")]);
    unasked
        .ask_with(warm, json!({ "$anon_distinct_id": "anon" }))
        .row("PostgreSQL killed, continuity too", CHECK_PAUSES + AT_ONCE)
        .degraded(&[
            ("person", "database_unavailable"),
            ("continuity", "hash_key_override_error"),
        ]);
    let body = json!({ "token": warm.token(), "distinct_id": "ada" });
    let answer = service
        .post("/decide?v=3", &body, &[])
        .row("PostgreSQL killed, /decide", READ_PAUSES + AT_ONCE);
    assert_eq!(answer.json["errorsWhileComputingFlags"], true, "{answer:?}");
    assert_eq!(answer.json["featureFlags"]["always"], true, "{answer:?}");
    assert_ne!(answer.json["featureFlags"]["person"], true, "{answer:?}");
    for _ in 0..2 {
        service
            .ask(nowhere)
            .row("PostgreSQL killed, team cold everywhere", AT_ONCE * 3)
            .refused(503, UNREACHABLE);
    }
    service
        .ask(headless)
        .row("PostgreSQL killed, flags cold everywhere", AT_ONCE * 3)
        .refused(503, UNREACHABLE);
    service
        .get("/_readiness")
        .row("PostgreSQL killed, /_readiness", AT_ONCE)
        .refused(503, "non_persons_reader pool unavailable");
    unasked
        .get("/_readiness")
        .row("PostgreSQL killed, /_readiness without checks", AT_ONCE)
        .refused(200, "ready");
    service
        .get("/_liveness")
        .row("PostgreSQL killed, /_liveness", AT_ONCE)
        .refused(200, "healthy: true");
    world.servers.command("start postgres");
    until("persons", || (!service.ask(warm).has_errors()).then_some(()));
    service
        .ask_with(warm, json!({ "$anon_distinct_id": "anon" }))
        .row("PostgreSQL killed, back", AT_ONCE * 3)
        .complete("redis");
    for team in [nowhere, headless] {
        until("definitions from PostgreSQL", || {
            (service.ask(team).tier() == Some("postgres")).then_some(())
        });
    }
    until("readiness", || {
        (service.get("/_readiness").status == 200).then_some(())
    });
    for said in [
        "non_persons_reader: failed repeatedly",
        "non_persons_reader: answers again",
    ] {
        until(said, || (service.said(said) == 1).then_some(()));
    }
}

#[test]
fn postgres_paused() {
    let (world, [warm, headless, nowhere]) = world();
    let service = Service::start(&world, &[]);
    let mut hurried = Service::start(&world, &[("ACQUIRE_TIMEOUT_SECS", "1")]);
    service.ask(warm).complete("redis");
    hurried.ask(warm).complete("redis");
    world.servers.command("pause postgres");
    service
        .ask_with(warm, self_sufficient())
        .row("PostgreSQL paused, no person data needed", AT_ONCE)
        .complete("redis");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            service
                .ask_with(warm, json!({ "$anon_distinct_id": "anon" }))
                .row("PostgreSQL paused, person data needed", PERSONS_DEADLINE)
                .degraded(&[("person", "timeout:"), ("continuity", "hash_key_override_error")]);
        });
        for (team, situation) in [
            (nowhere, "PostgreSQL paused, team cold everywhere"),
            (headless, "PostgreSQL paused, flags cold everywhere"),
        ] {
            let service = &service;
            scope.spawn(move || {
                service
                    .ask(team)
                    .row(situation, REQUEST_TIMEOUT)
                    .refused(503, "equest timed out");
            });
        }
        scope.spawn(|| {
            service
                .get("/_readiness")
                .row("PostgreSQL paused, /_readiness", REQUEST_TIMEOUT)
                .refused(503, "non_persons_reader ");
        });
        scope.spawn(|| {
            let answer = hurried.ask(warm).row(
                "PostgreSQL paused, ACQUIRE_TIMEOUT_SECS=1",
                Duration::from_secs(1),
            );
            assert!(answer.reason("person").starts_with("timeout:"), "{answer:?}");
            answer.degraded(&[]);
        });
    });
    // Enough failures open the breaker: no more waiting, for anybody but a probe.
    until("the breaker", || {
        (service.ask(warm).reason("person") == "database_unavailable").then_some(())
    });
    let fast = (0..3)
        .filter(|_| service.ask(warm).took < Duration::from_secs(1))
        .count();
    assert!(fast >= 2, "at most a probe waits");
    service
        .ask_with(warm, self_sufficient())
        .row("PostgreSQL paused, breaker open, no person data needed", AT_ONCE)
        .complete("redis");
    world.servers.command("resume postgres");
    for service in [&service, &hurried] {
        until("persons", || (!service.ask(warm).has_errors()).then_some(()));
        service
            .ask(warm)
            .row("PostgreSQL paused, resumed", AT_ONCE)
            .complete("redis");
    }
    for team in [nowhere, headless] {
        until("definitions from PostgreSQL", || {
            (service.ask(team).tier() == Some("postgres")).then_some(())
        });
    }

    // An outage does not keep a process from ending in order: who waits is answered first.
    let locked = world.lock("posthog_person");
    std::thread::scope(|scope| {
        let keys = json!({ "flag_keys": ["always", "person", "dependent"] });
        let waiting = scope.spawn(|| hurried.ask_with(warm, keys));
        until("the statement", || (world.sql(WAITING) == ["1"]).then_some(()));
        world.servers.command("pause postgres");
        hurried.terminate();
        waiting
            .join()
            .expect("an answer")
            .row(
                "PostgreSQL paused under a statement, told to end",
                PERSONS_DEADLINE,
            )
            // The limit of the exchange and the deadline of the request are the same 2.5 s: either may come first.
            .degraded(&[("person", "timeout:")]);
    });
    let start = Instant::now();
    assert_eq!(hurried.ended(), Some(0), "{:?}", hurried.errors());
    row(
        "PostgreSQL paused, the process has ended",
        "exit code 0",
        start.elapsed(),
    );
    assert!(start.elapsed() < REQUEST_TIMEOUT, "{:?}", start.elapsed());
    drop(locked);
}

#[test]
fn every_tier_away_at_start() {
    let (world, [warm, ..]) = world();
    world.servers.command("kill redis");
    world.servers.command("kill postgres");
    world.stop_objects();
    let mut settings = settings(&world);
    settings.insert("EXIT_WHEN_DEPENDENCY_UNAVAILABLE", "true".to_owned());
    let ended = crate::service::run(&settings);
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("a dependency is away"), "{said}");
    settings.remove("EXIT_WHEN_DEPENDENCY_UNAVAILABLE");

    let service = Service::listening(&settings);
    service
        .ask(warm)
        .row("everything away at start", AT_ONCE * 3)
        .refused(503, UNREACHABLE);
    for source in ["redis", "non_persons_reader", "non_persons_writer", "s3"] {
        let start = format!("warning: {source} cannot be used, it will be retried");
        until(&start, || {
            let lines = service.errors();
            (lines.iter().filter(|line| line.starts_with(&start)).count() == 1).then_some(())
        });
    }
    service
        .get("/_liveness")
        .row("everything away at start, /_liveness", AT_ONCE)
        .refused(200, "healthy: true");
    world.servers.command("start redis");
    world.servers.command("start postgres");
    world.restart_objects();
    world.in_redis("redis", warm);
    until("definitions from Redis", || {
        let answer = service.ask(warm);
        (answer.tier() == Some("redis") && !answer.has_errors()).then_some(())
    });
    service
        .ask(warm)
        .row("everything away at start, back", AT_ONCE)
        .complete("redis");
    // Retried without a word an attempt.
    let lines = service.errors();
    assert!(lines.len() <= 12, "{lines:?}");
}
