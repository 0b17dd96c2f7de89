//! Changes that Redis announces.

use crate::process::both;
use crate::watch::{change, expect_promised, wait_for};
use crate::world::World;

#[test]
fn two_hundred_changes_are_answered_by_both_processes_within_100_ms() {
    let world = World::start();
    world.add_teams([1]);
    let processes = both(&world, &[]);
    wait_for(&processes, 1, 1);
    // A primary holds writes back from a new replica for up to a second.
    change(&world, &processes, 1, 2);
    let times = (3..203)
        .map(|version| change(&world, &processes, 1, version))
        .collect();
    expect_promised("announced", times);
}
