//! Every tier fails: definitions that are held are served, however old.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::definitions::Team;
use crate::gate::{Gate, Way};
use crate::report::{AT_ONCE, LOAD_WAIT};
use crate::service::Service;
use crate::world::{World, until};

const SOFT: &str = "100";
const HARD: Duration = Duration::from_millis(400);

/// Asks until the snapshot has long been past its hard age; nobody waits longer than the load wait. Slowest answer.
fn serves_the_old_one(service: &Service, team: Team, situation: &str) {
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    while start.elapsed() < HARD * 5 {
        let answer = service
            .ask_with(team, json!({ "person_properties": { "plan": "pro" } }))
            .complete("redis");
        slowest = slowest.max(answer.took);
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut last = service
        .ask_with(team, json!({ "person_properties": { "plan": "pro" } }))
        .complete("redis");
    last.took = last.took.max(slowest);
    last.row(situation, LOAD_WAIT + AT_ONCE);
}

#[test]
fn old_definitions_are_served_when_every_tier_fails() {
    let world = World::new(&["redis", "postgres"]);
    let (team, never_seen) = (Team(1), Team(2));
    world.everywhere(team);
    let gate = Gate::to(world.object_address());
    let endpoint = format!("http://{}", gate.address);
    let hard = HARD.as_millis().to_string();
    let service = Service::start(
        &world,
        &[
            ("SNAPSHOT_SOFT_TTL_MS", SOFT),
            ("SNAPSHOT_HARD_TTL_MS", &hard),
            ("OBJECT_STORAGE_ENDPOINT", &endpoint),
        ],
    );
    service.ask(team).complete("redis");

    world.servers.command("pause redis");
    world.servers.command("pause postgres");
    gate.set(Way::Stalled);
    serves_the_old_one(
        &service,
        team,
        "every tier paused, old definitions, slowest answer",
    );
    world.servers.command("kill redis");
    world.servers.command("kill postgres");
    gate.set(Way::Closed);
    serves_the_old_one(&service, team, "every tier down, old definitions, slowest answer");
    service
        .ask(never_seen)
        .row("every tier down, team never seen", AT_ONCE * 3)
        .refused(503, "temporary issue");

    world.servers.command("start redis");
    world.servers.command("start postgres");
    gate.set(Way::Open);
    world.in_redis("redis", team);
    let changed = team
        .entry("redis")
        .to_string()
        .replace("from_redis", "from_redis_anew");
    world.put_redis(
        "redis",
        &team.flags_key().redis(),
        &crate::definitions::stored(&changed),
    );
    until("new definitions", || {
        (service.ask(team).tier() == Some("redis_anew")).then_some(())
    });
    until("persons", || (!service.ask(team).has_errors()).then_some(()));
    service
        .ask(team)
        .row("every tier down, back", LOAD_WAIT + AT_ONCE)
        .complete("redis_anew");
}
