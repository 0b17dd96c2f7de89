//! Changes while announcements are interrupted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

use crate::process::{Process, both};
use crate::silent::{field, trackers};
use crate::watch::{SOFT_TTL, change, expect_promised, wait_for};
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

/// A heartbeat without an answer ends tracking after this time.
const REPLY_LIMIT: Duration = SECOND;

fn started() -> (World, [Process; 2]) {
    let world = World::start();
    let processes = start(&world);
    (world, processes)
}

/// Two processes that have answered version 2 of a team.
fn start(world: &World) -> [Process; 2] {
    world.add_teams([1]);
    let processes = both(world, &[]);
    wait_for(&processes, 1, 1);
    wait_for_trackers(world);
    change(world, &processes, 1, 2);
    processes
}

/// Ids of the connections that are not a replica's or a primary's.
fn clients(world: &World, server: &MultiplexedConnection) -> BTreeSet<String> {
    let list = world.ask(server, &["CLIENT", "LIST", "TYPE", "normal"]);
    list.lines().map(|line| field(line, "id=")).collect()
}

/// Until each server has its one tracking connection.
fn wait_for_trackers(world: &World) {
    let start = Instant::now();
    for server in [&world.primary, &world.replica] {
        while trackers(&world.ask(server, &["CLIENT", "LIST"])).len() != 1 {
            assert!(start.elapsed() < 20 * SECOND, "tracking does not come back");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn expect_push(world: &World, processes: &[Process], what: &str, from: i32) {
    let times = (from..from + 20).map(|version| change(world, processes, 1, version));
    expect_promised(what, times.collect());
}

#[test]
fn after_a_lost_tracking_connection_age_decides_until_it_is_back() {
    let (world, processes) = started();
    let servers = [&world.primary, &world.replica];
    for server in servers {
        // Connections that are there stay, new ones are refused.
        world.ask(server, &["CONFIG", "SET", "maxclients", "1"]);
        for id in trackers(&world.ask(server, &["CLIENT", "LIST"])) {
            assert_eq!(world.ask(server, &["CLIENT", "KILL", "ID", &id]), "1");
        }
    }
    for version in 3..6 {
        let time = change(&world, &processes, 1, version);
        println!("tracking lost: {time:?}");
        assert!(time < SOFT_TTL + SECOND, "version {version}: {time:?}");
        for server in servers {
            assert!(trackers(&world.ask(server, &["CLIENT", "LIST"])).is_empty());
        }
    }
    for server in servers {
        world.ask(server, &["CONFIG", "SET", "maxclients", "1000"]);
    }
    wait_for_trackers(&world);
    expect_push(&world, &processes, "tracking again", 6);
}

#[test]
fn all_connections_of_a_process_may_be_lost_at_once() {
    let world = World::start();
    let ours = [&world.primary, &world.replica].map(|server| clients(&world, server));
    let processes = start(&world);
    for version in 3..6 {
        for (server, ours) in [&world.primary, &world.replica].into_iter().zip(&ours) {
            for id in clients(&world, server).difference(ours) {
                world.ask(server, &["CLIENT", "KILL", "ID", id]);
            }
        }
        wait_for_trackers(&world);
        let time = change(&world, &processes, 1, version);
        println!("connections lost: {time:?}");
        assert!(time < SOFT_TTL + SECOND, "version {version}: {time:?}");
    }
    wait_for_trackers(&world);
    expect_push(&world, &processes, "connected again", 6);
}

#[test]
fn after_a_flush_the_rewritten_entries_are_answered() {
    let (world, processes) = started();
    for version in 3..8 {
        world.ask(&world.primary, &["FLUSHALL"]);
        let time = change(&world, &processes, 1, version);
        println!("flushed: {time:?}");
        assert!(time < SOFT_TTL + SECOND, "version {version}: {time:?}");
    }
    expect_push(&world, &processes, "after a flush", 8);
}

#[test]
fn a_paused_replica_delays_a_change_by_no_more_than_age_and_reply_limit() {
    let (world, processes) = started();
    world.servers.command("pause redis-replica");
    for version in 3..6 {
        let time = change(&world, &processes, 1, version);
        println!("replica paused: {time:?}");
        assert!(
            time < SOFT_TTL + REPLY_LIMIT + SECOND,
            "version {version}: {time:?}"
        );
    }
    world.servers.command("resume redis-replica");
    wait_for_trackers(&world);
    let time = change(&world, &processes, 1, 6);
    assert!(time < SOFT_TTL + REPLY_LIMIT + SECOND, "resumed: {time:?}");
    expect_push(&world, &processes, "replica resumed", 7);
}
