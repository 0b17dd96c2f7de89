//! Changes that nobody announces.

use std::time::Duration;

use crate::process::both;
use crate::watch::{SOFT_TTL, change_all, wait_for};
use crate::world::World;

#[test]
fn without_tracking_every_change_is_answered_within_the_soft_ttl_and_a_second() {
    let teams: Vec<i32> = (1..=10).collect();
    let world = World::start();
    world.add_teams(teams.clone());
    let processes = both(&world, &[("CLIENT_TRACKING_ENABLED", "false")]);
    for team in &teams {
        wait_for(&processes, *team, 1);
    }
    for server in [&world.primary, &world.replica] {
        assert_eq!(
            trackers(&world.ask(server, &["CLIENT", "LIST"])),
            Vec::<String>::new()
        );
    }
    let mut times = Vec::new();
    for version in 2..5 {
        // Spread over the time to live, so that changes meet snapshots of every age.
        times.extend(change_all(&world, &processes, &teams, version, SOFT_TTL / 10));
    }
    times.sort_unstable();
    println!(
        "not announced: {} changes, p50 {:?}, max {:?}",
        times.len(),
        times[15],
        times[29]
    );
    assert!(times[29] < SOFT_TTL + Duration::from_secs(1), "{times:?}");
    // They were really not announced: that takes part of the time to live on average.
    assert!(times[15] > Duration::from_millis(200), "{times:?}");
}

/// Ids of the connections that are told of changes.
pub fn trackers(list: &str) -> Vec<String> {
    list.lines()
        .filter(|line| field(line, "flags=").contains('t'))
        .map(|line| field(line, "id="))
        .collect()
}

/// A field of a line of `CLIENT LIST`.
pub fn field(line: &str, name: &str) -> String {
    let word = line.split(' ').find_map(|word| word.strip_prefix(name));
    word.unwrap_or_default().to_owned()
}
