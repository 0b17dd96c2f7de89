//! S3 away, refusing, or without an answer.

use std::time::Duration;

use crate::definitions::{Team, stored};
use crate::gate::{Gate, Way};
use crate::report::{AT_ONCE, REQUEST_TIMEOUT, S3_STEP};
use crate::service::Service;
use crate::world::{World, until};

/// What flags wait for a configuration that Redis does not have.
const CONFIG_WAIT: Duration = Duration::from_millis(800);

#[test]
fn s3_stopped() {
    let world = World::new(&["redis"]);
    let (warm, cold, later) = (Team(1), Team(2), Team(3));
    world.everywhere(warm);
    for team in [cold, later] {
        world.in_s3(team);
        world.in_postgres(team);
    }
    let service = Service::start(&world, &[]);
    world.stop_objects();
    service
        .ask(warm)
        .row("S3 down, Redis has the entries", AT_ONCE)
        .complete("redis");
    service
        .ask(cold)
        .row("S3 down, Redis has none: PostgreSQL", S3_STEP)
        .complete("postgres");
    world.restart_objects();
    until("definitions from S3", || {
        (service.ask(cold).complete_from_any() == "s3").then_some(())
    });
    service
        .ask(later)
        .row("S3 down, back, cold team", AT_ONCE * 3)
        .complete("s3");
}

#[test]
fn s3_refuses_the_credentials() {
    let world = World::new(&["redis"]);
    let (warm, cold) = (Team(1), Team(2));
    world.everywhere(warm);
    world.in_s3(cold);
    world.in_postgres(cold);
    let service = Service::start(&world, &[("AWS_SECRET_ACCESS_KEY", "wrong")]);
    service
        .ask(warm)
        .row("S3 refuses the credentials, Redis has the entries", AT_ONCE)
        .complete("redis");
    service
        .ask(cold)
        .row("S3 refuses the credentials, Redis has none", AT_ONCE * 3)
        .complete("postgres");
    until("the report", || {
        let said = |line: &String| line.starts_with("warning: s3 cannot be used");
        service.errors().iter().any(said).then_some(())
    });
}

#[test]
fn s3_stalled() {
    let world = World::new(&["redis"]);
    let gate = Gate::to(world.object_address());
    let endpoint = format!("http://{}", gate.address);
    let teams: Vec<Team> = (1..=11).map(Team).collect();
    world.everywhere(teams[0]);
    world.put_redis("redis", &teams[0].config_key().redis(), &stored("{}"));
    world.everywhere(teams[9]);
    world.in_postgres(teams[10]);
    for (key, text) in [
        (teams[10].team_key(), teams[10].metadata()),
        (teams[10].config_key(), "{}".to_owned()),
    ] {
        world.put_redis("redis", &key.redis(), &stored(&text));
    }
    for team in &teams[1..9] {
        world.in_s3(*team);
        world.in_postgres(*team);
    }
    let service = Service::start(&world, &[("OBJECT_STORAGE_ENDPOINT", &endpoint)]);
    gate.set(Way::Stalled);
    service
        .ask(teams[0])
        .row("S3 stalled, Redis has all entries", AT_ONCE)
        .complete("redis");
    service
        .ask(teams[9])
        .row("S3 stalled, Redis has all but the configuration", CONFIG_WAIT)
        .complete("redis");
    // The team's step, then those of flags and configuration: beyond the request's own limit, as the matrix says.
    std::thread::scope(|scope| {
        for team in &teams[1..4] {
            let service = &service;
            scope.spawn(move || {
                let cold = service
                    .ask(*team)
                    .row("S3 stalled, Redis has none, cold team", REQUEST_TIMEOUT);
                assert!(cold.took >= S3_STEP, "{cold:?}");
                cold.refused(503, "Request timed out");
            });
        }
        scope.spawn(|| {
            let cold = service
                .ask(teams[10])
                .row("S3 stalled, Redis has all but the flags", S3_STEP)
                .complete("postgres");
            assert!(cold.took >= S3_STEP, "{cold:?}");
        });
    });
    // The loads go on without their requests; whoever comes later finds their outcome.
    for team in &teams[1..4] {
        until("the loads that go on", || {
            (service.ask(*team).tier() == Some("postgres")).then_some(())
        });
        service
            .ask(*team)
            .row("S3 stalled, the same team again", AT_ONCE)
            .complete("postgres");
    }
    // Five failures open the breaker; then one probe at a time waits for S3, all others go on at once.
    let mut slow = 0;
    for team in &teams[4..8] {
        let cold = service.ask(*team);
        slow += u32::from(cold.took >= S3_STEP);
        if cold.took < S3_STEP {
            cold.row("S3 stalled, cold team after the breaker opened", AT_ONCE * 3)
                .complete("postgres");
        }
    }
    assert!(slow <= 1, "only a probe waits");
    gate.set(Way::Open);
    let cold = teams[8];
    until("definitions from S3", || {
        (service.ask(cold).complete_from_any() == "s3").then_some(())
    });
    service
        .ask(cold)
        .row("S3 stalled, going again", Duration::from_millis(100))
        .complete("s3");
}
