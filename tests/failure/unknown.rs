//! Sentinels, and tokens that nobody has.

use std::time::{Duration, Instant};

use crate::definitions::{Team, stored};
use crate::report::AT_ONCE;
use crate::service::Service;
use crate::world::{World, until};

#[test]
fn sentinels_and_unknown_tokens() {
    let world = World::new(&["redis"]);
    let [flagless, sentinel, unknown] = [1, 2, 3].map(Team);
    let missing = stored("__missing__");
    for team in [flagless, sentinel] {
        // Lower tiers have something: a sentinel is where reading stops.
        world.everywhere(team);
    }
    world.put_redis("redis", &flagless.flags_key().redis(), &missing);
    world.put_redis("redis", &sentinel.team_key().redis(), &missing);
    let service = Service::start(&world, &[]);
    let answer = service.ask(flagless).row("sentinel for flags", AT_ONCE);
    assert!(!answer.has_errors() && answer.status == 200, "{answer:?}");
    assert_eq!(answer.json["flags"], serde_json::json!({}));
    service
        .ask(sentinel)
        .row("sentinel in the team entry", AT_ONCE)
        .refused(401, "authentication_failed");
    service
        .ask(unknown)
        .row("unknown token", AT_ONCE * 3)
        .refused(401, "authentication_failed");

    // Nobody is asked again: there is nobody below Redis, whose loss would make all that it announces uncertain.
    world.stop_objects();
    let _locked = world.lock("posthog_team");
    for team in [sentinel, unknown] {
        service
            .ask(team)
            .row("unknown token, asked again with the lower tiers away", AT_ONCE)
            .refused(401, "authentication_failed");
    }
}

#[test]
fn tokens_are_remembered_as_unknown_while_redis_is_away() {
    let world = World::new(&["redis"]);
    let service = Service::start(&world, &[]);
    world.servers.command("kill redis");
    let unknown = Team(1);
    // Its loss makes what was known uncertain, once.
    until("the loss to be noticed", || {
        let lost = |line: &String| line.starts_with("warning: redis: connection lost");
        service.errors().iter().any(lost).then_some(())
    });
    service
        .ask(Team(2))
        .row("unknown token, Redis killed", AT_ONCE * 3)
        .refused(401, "authentication_failed");
    std::thread::sleep(Duration::from_millis(200));
    service.ask(unknown).refused(401, "authentication_failed");
    let _locked = world.lock("posthog_team");
    world.stop_objects();
    let start = Instant::now();
    // Longer than several attempts to connect to Redis again.
    while start.elapsed() < Duration::from_secs(2) {
        let again = service.ask(unknown).refused(401, "authentication_failed");
        assert!(
            again.took < Duration::from_secs(1),
            "it was looked up again: {again:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    service
        .ask(unknown)
        .row("unknown token, asked again with every tier away", AT_ONCE)
        .refused(401, "authentication_failed");
}

#[test]
fn an_outage_is_no_unknown_token_where_postgresql_may_not_be_asked() {
    let world = World::new(&["redis"]);
    let teams: Vec<Team> = (1..=4).map(Team).collect();
    for team in &teams {
        world.in_postgres(*team);
    }
    let service = Service::start(&world, &[("SKIP_PG_TEAM_FALLBACK", "true")]);
    service
        .ask(teams[0])
        .row("no PostgreSQL fallback: absent in Redis and S3", AT_ONCE)
        .refused(401, "authentication_failed");
    world.stop_objects();
    service
        .ask(teams[1])
        .row("no PostgreSQL fallback: absent in Redis, S3 down", AT_ONCE * 3)
        .refused(503, "temporary issue");
    world.restart_objects();
    world.put_redis("redis", &teams[3].team_key().redis(), b"corrupt");
    service
        .ask(teams[3])
        .row(
            "no PostgreSQL fallback: corrupt in Redis, absent in S3",
            AT_ONCE * 3,
        )
        .refused(503, "Failed to parse internal data");
    world.servers.command("kill redis");
    service
        .ask(teams[2])
        .row("no PostgreSQL fallback: Redis down, absent in S3", AT_ONCE * 3)
        .refused(503, "temporary issue");
    world.in_s3(teams[2]);
    until("definitions from S3", || {
        (service.ask(teams[2]).tier() == Some("s3")).then_some(())
    });
}
