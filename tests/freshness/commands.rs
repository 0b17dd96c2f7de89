//! What requests cost Redis.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

use crate::client::{Answer, Client};
use crate::process::{Process, ask, both, version};
use crate::watch::{SOFT_TTL, change, wait_for};
use crate::world::{World, secret, token};

/// Of both processes together.
const REQUESTS: usize = 10_000;

/// Connections of each process.
const CONNECTIONS: usize = 2;

/// Billing has its own tasks, which read limits and write usage at these intervals whatever is asked.
const BILLING_RESTS: [(&str, &str); 2] = [
    ("BILLING_LIMITER_CACHE_TTL_SECS", "86400"),
    ("FLAGS_BILLING_FLUSH_INTERVAL_MS", "3600000"),
];

/// What a replica and its primary say to each other.
const REPLICATION: [&str; 3] = ["ping", "replconf", "psync"];

/// Calls of each command since the server's start, apart from replication.
fn calls(world: &World, server: &MultiplexedConnection) -> BTreeMap<String, u64> {
    let parse = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    let stats = world.ask(server, &["INFO", "commandstats"]);
    let mut calls: BTreeMap<String, u64> = stats.lines().filter_map(parse).collect();
    calls.retain(|name, _| {
        !REPLICATION
            .iter()
            .any(|known| name.split('|').next() == Some(known))
    });
    calls
}

fn make_requests(processes: &[Process], requests: usize) {
    std::thread::scope(|scope| {
        for process in processes {
            for connection in 0..CONNECTIONS {
                scope.spawn(move || {
                    let mut client = process.client();
                    for request in 0..requests / CONNECTIONS / processes.len() {
                        assert_eq!(
                            version(&ask(&mut client, 1, request * CONNECTIONS + connection)),
                            2
                        );
                    }
                });
            }
        }
    });
}

#[test]
fn ten_thousand_requests_of_a_warm_team_ask_redis_nothing() {
    let world = World::start();
    world.add_teams([1]);
    let processes = both(&world, &BILLING_RESTS);
    wait_for(&processes, 1, 1);
    change(&world, &processes, 1, 2);
    // The first requests end what the change began.
    make_requests(&processes, 100);
    std::thread::sleep(SOFT_TTL);
    let servers = [&world.primary, &world.replica];
    let before = servers.map(|server| calls(&world, server));
    let start = Instant::now();
    make_requests(&processes, REQUESTS);
    let time = start.elapsed();
    let heartbeats = others(&world, &servers, &before, time);
    println!("heartbeats to primary and replica during {REQUESTS} requests in {time:?}: {heartbeats:?}");

    // Without requests it is the same: heartbeats go on, and nothing else.
    let before = servers.map(|server| calls(&world, server));
    let start = Instant::now();
    std::thread::sleep(SOFT_TTL * 2);
    let time = start.elapsed();
    let heartbeats = others(&world, &servers, &before, time);
    println!("heartbeats to primary and replica without requests in {time:?}: {heartbeats:?}");
    assert!(heartbeats.iter().all(|count| *count >= 2), "{heartbeats:?}");
}

/// Expects nothing but heartbeats since `before`, and no more of them than the time allows; how many there were.
fn others(
    world: &World,
    servers: &[&MultiplexedConnection; 2],
    before: &[BTreeMap<String, u64>; 2],
    time: Duration,
) -> Vec<u64> {
    let count = |(server, before): (&&MultiplexedConnection, &BTreeMap<String, u64>)| {
        let mut made = calls(world, server);
        for (command, calls) in &mut made {
            *calls -= before.get(command).unwrap_or(&0);
        }
        made.retain(|_, calls| *calls > 0);
        // The question of the measurement itself is counted once it has been answered.
        let heartbeats = made.remove("info").unwrap_or_default() - 1;
        assert_eq!(made, BTreeMap::new());
        // One process follows each server, twice in every soft time to live, whatever it is asked.
        let most = time.as_millis() / (SOFT_TTL / 2).as_millis() + 1;
        assert!(u128::from(heartbeats) <= most, "{heartbeats} in {time:?}");
        heartbeats
    };
    servers.iter().zip(before).map(count).collect()
}

/// Asks for what SDKs evaluate a team's flags with.
fn definitions(client: &mut Client, team: i32, etag: &str) -> Answer {
    let line = format!("GET /flags/definitions?token={}", token(team));
    let authorization = format!("authorization: Bearer {}", secret(team));
    client.request(&line, &[&authorization, &format!("if-none-match: {etag}")], b"")
}

/// All of it, with its ETag.
fn all_definitions(client: &mut Client, team: i32) -> (String, Vec<u8>) {
    let answer = definitions(client, team, "none");
    assert_eq!(answer.status, 200, "{}", answer.text());
    (answer.header("etag").expect("an ETag").to_owned(), answer.body)
}

#[test]
fn definitions_of_a_warm_team_ask_redis_nothing_and_changes_are_announced() {
    let world = World::start();
    world.add_teams([1]);
    let [limits, usage] = BILLING_RESTS;
    let variables = [
        limits,
        usage,
        ("FLAG_DEFINITIONS_DEFAULT_RATE_PER_MINUTE", "100000000"),
        ("FLAG_DEFINITIONS_CONDITIONAL_RATE_PER_MINUTE", "100000000"),
    ];
    let processes = both(&world, &variables);
    let mut clients = processes.each_ref().map(Process::client);
    let first = clients.each_mut().map(|client| all_definitions(client, 1));
    assert_eq!(first[0], first[1], "the replica has what the primary has");
    // Until both processes follow their servers, reads by age go on.
    wait_for(&processes, 1, 1);
    change(&world, &processes, 1, 2);
    let changed = loop {
        let [one, other] = clients.each_mut().map(|client| all_definitions(client, 1));
        if one == other && one.0 != first[0].0 {
            break one;
        }
        std::thread::yield_now();
    };
    std::thread::sleep(SOFT_TTL);
    for client in &mut clients {
        assert_eq!(all_definitions(client, 1), changed);
    }
    let servers = [&world.primary, &world.replica];
    let before = servers.map(|server| calls(&world, server));
    let start = Instant::now();
    for _ in 0..2_000 {
        for client in &mut clients {
            assert_eq!(all_definitions(client, 1), changed);
            let unchanged = definitions(client, 1, &changed.0);
            assert_eq!((unchanged.status, unchanged.text()), (304, ""));
        }
    }
    let time = start.elapsed();
    let heartbeats = others(&world, &servers, &before, time);
    println!(
        "heartbeats to primary and replica during 8000 requests for definitions in {time:?}: {heartbeats:?}"
    );
}
