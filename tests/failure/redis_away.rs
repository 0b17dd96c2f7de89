//! Redis dies, hangs, or was never there.

use std::time::Duration;

use serde_json::json;

use crate::definitions::{COOKIELESS, Team};
use crate::report::{AT_ONCE, REDIS_COMMAND};
use crate::service::{Service, settings};
use crate::world::{World, until};

/// A cold load reads the team, then flags and configuration at once: two steps.
const COLD: Duration = REDIS_COMMAND.saturating_mul(2);

#[test]
fn shared_redis_away_at_start() {
    let world = World::new(&["redis"]);
    let team = Team(1);
    world.in_s3(team);
    world.in_postgres(team);
    world.servers.command("kill redis");
    let service = Service::listening(&settings(&world));
    service
        .ask(team)
        .row("shared Redis down at start, cold", AT_ONCE * 3)
        .complete("s3");
    until("the report", || {
        let said = |line: &String| line.starts_with("warning: redis cannot be used, it will be retried");
        (service.errors().iter().filter(|line| said(line)).count() == 1).then_some(())
    });
    world.servers.command("start redis");
    world.in_redis("redis", team);
    until("definitions from Redis", || {
        (service.ask(team).complete_from_any() == "redis").then_some(())
    });
    service
        .ask(team)
        .row("shared Redis down at start, back", AT_ONCE)
        .complete("redis");
}

#[test]
fn dedicated_redis_away_at_start() {
    let world = World::new(&["redis", "flags-redis"]);
    let (shared, object) = (Team(1), Team(2));
    world.in_redis("redis", shared);
    world.in_s3(object);
    world.servers.command("kill flags-redis");
    let mut settings = settings(&world);
    settings.insert("FLAGS_REDIS_URL", world.servers.url("flags-redis"));
    settings.insert("FLAGS_REDIS_ENABLED", "true".to_owned());
    let service = Service::listening(&settings);
    until("the shared Redis", || {
        (service.ask(shared).tier() == Some("redis")).then_some(())
    });
    service
        .ask(shared)
        .row("dedicated Redis down at start, shared has the entry", AT_ONCE)
        .complete("redis");
    service
        .ask(object)
        .row("dedicated Redis down at start, shared has none", AT_ONCE * 3)
        .complete("s3");
    world.servers.command("start flags-redis");
    for team in [shared, object] {
        world.in_redis("flags-redis", team);
        until("the dedicated Redis", || {
            (service.ask(team).complete_from_any() == "flags_redis").then_some(())
        });
    }
    service
        .ask(shared)
        .row("dedicated Redis down at start, back", AT_ONCE)
        .complete("flags_redis");
}

#[test]
fn redis_killed_while_running() {
    let world = World::new(&["redis"]);
    let (warm, object, row) = (Team(1), Team(2), Team(3));
    world.everywhere(warm);
    world.in_s3(object);
    world.in_postgres(object);
    world.in_postgres(row);
    world.in_redis("redis", COOKIELESS);
    let service = Service::start(&world, &[("READINESS_CHECKS_DATABASE", "false")]);
    service.ask(warm).complete("redis");
    service.ask(COOKIELESS).complete("redis");
    world.servers.command("kill redis");
    service
        .ask(warm)
        .row("Redis killed, warm team", AT_ONCE)
        .complete("redis");
    service
        .ask(object)
        .row("Redis killed, cold team, S3 has it", AT_ONCE * 3)
        .complete("s3");
    service
        .ask(row)
        .row("Redis killed, cold team, only PostgreSQL has it", AT_ONCE * 3)
        .complete("postgres");
    let body = json!({ "token": COOKIELESS.token(), "distinct_id": "$posthog_cookieless" });
    let headers = ["user-agent: Mozilla/5.0", "origin: https://shop.example"];
    service
        .post("/flags?v=2", &body, &headers)
        .row("Redis killed, cookieless request", AT_ONCE)
        .refused(500, "An internal error occurred");
    until("definitions from S3", || {
        (service.ask(warm).complete_from_any() == "s3").then_some(())
    });
    service
        .ask(warm)
        .row("Redis killed, warm team past its age", AT_ONCE)
        .complete("s3");
    world.servers.command("start redis");
    for team in [warm, object, row] {
        world.in_redis("redis", team);
        until("definitions from Redis", || {
            (service.ask(team).complete_from_any() == "redis").then_some(())
        });
    }
    world.in_redis("redis", COOKIELESS);
    let cookieless = until("a salt", || {
        let answer = service.post("/flags?v=2", &body, &headers);
        (answer.status == 200).then_some(answer)
    });
    cookieless.row("Redis killed, back, cookieless request", AT_ONCE * 3);
}

#[test]
fn redis_paused() {
    let world = World::new(&["redis"]);
    let teams: Vec<Team> = (1..=8).map(Team).collect();
    for team in &teams {
        world.everywhere(*team);
    }
    let service = Service::start(&world, &[]);
    service.ask(teams[0]).complete("redis");
    world.servers.command("pause redis");
    service
        .ask(teams[0])
        .row("Redis paused, warm team", AT_ONCE)
        .complete("redis");
    let first = service
        .ask(teams[1])
        .row("Redis paused, cold team", COLD + AT_ONCE)
        .complete("s3");
    assert!(first.took >= REDIS_COMMAND, "it was asked: {first:?}");
    for team in &teams[2..7] {
        service.ask(*team).complete("s3");
    }
    service
        .ask(teams[7])
        .row("Redis paused, cold team after the breaker opened", AT_ONCE)
        .complete("s3");
    world.servers.command("resume redis");
    for team in &teams {
        until("definitions from Redis", || {
            (service.ask(*team).complete_from_any() == "redis").then_some(())
        });
    }
    service
        .ask(teams[7])
        .row("Redis paused, resumed", AT_ONCE)
        .complete("redis");
}
