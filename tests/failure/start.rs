//! The strict switch when nothing is away, or one part is.

use crate::definitions::Team;
use crate::report::AT_ONCE;
use crate::service::{Service, run, settings};
use crate::world::World;

#[test]
fn the_strict_switch_ends_the_process_only_when_something_is_away() {
    let world = World::new(&["redis"]);
    world.everywhere(Team(1));
    let service = Service::start(&world, &[("EXIT_WHEN_DEPENDENCY_UNAVAILABLE", "true")]);
    service
        .ask(Team(1))
        .row("strict switch, everything there", AT_ONCE)
        .complete("redis");
    world.servers.command("kill redis");
    let mut strict = settings(&world);
    strict.insert("EXIT_WHEN_DEPENDENCY_UNAVAILABLE", "true".to_owned());
    let ended = run(&strict);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("redis cannot be used"), "{said}");
    // One that runs is not ended by it.
    service
        .ask(Team(1))
        .row("strict switch, Redis killed while running", AT_ONCE)
        .complete("redis");
}
