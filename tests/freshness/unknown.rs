//! Tokens that come into being after they were asked for.

use feature_flags::hypercache::Entry;

use crate::process::{ask, both, version};
use crate::watch::{expect_promised, known, wait_for};
use crate::world::World;

#[test]
fn a_new_token_is_answered_within_100_ms_although_it_was_remembered_as_unknown() {
    let world = World::start();
    world.add_teams([1]);
    let processes = both(&world, &[]);
    wait_for(&processes, 1, 1);
    let new: Vec<i32> = (2..22).collect();
    let refused = |team| {
        for process in &processes {
            assert_eq!(ask(&mut process.client(), team, 0).status, 401, "team {team}");
        }
    };
    new.iter().copied().for_each(refused);
    world.add_rows(new.clone());
    // Remembered: PostgreSQL would know them by now.
    new.iter().copied().for_each(refused);
    let times = new
        .iter()
        .map(|team| known(&processes, *team, || world.build(*team, Entry::Team)))
        .collect();
    expect_promised("new tokens", times);
    for team in new {
        for process in &processes {
            assert_eq!(version(&ask(&mut process.client(), team, 1)), 1);
        }
    }
}
