//! Usage counts are exact (`storage.md` 6.6): what Redis holds equals the requests that were answered, whatever happened to
//! it between and during writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::Commands;
use serde_json::json;

use crate::client::Client;
use crate::definitions::Team;
use crate::service::Service;
use crate::world::{World, until};

/// Requests by hash, over all fields.
type Counts = BTreeMap<String, u64>;

const TEAMS: [Team; 3] = [Team(1), Team(2), Team(3)];

/// User agents, and the names that they are counted under.
const AGENTS: [(&str, &str); 4] = [
    ("posthog-js/1.2", "posthog-js"),
    ("posthog-node/4.0", "posthog-node"),
    ("posthog-python/3.1", "posthog-python"),
    ("curl/8", "other"),
];

/// Writing all the time, so that whatever is done to Redis happens during a write.
const BUSY: [(&str, &str); 2] = [
    ("FLAGS_BILLING_FLUSH_INTERVAL_MS", "5"),
    ("FLAGS_BILLING_PER_FLUSH_BATCH_SIZE", "4"),
];

/// Never writing before the end.
const AT_THE_END: (&str, &str) = ("FLAGS_BILLING_FLUSH_INTERVAL_MS", "3600000");

fn names(team: Team, library: &str) -> [String; 2] {
    let team = team.0;
    [
        format!("posthog:decide_requests:{team}"),
        format!("posthog:decide_requests:sdk:{team}:{library}"),
    ]
}

/// One request; it must be answered.
fn send(client: &mut Client, team: Team, agent: &str, sent: &mut Counts, library: &str) {
    let body = json!({ "token": team.token(), "distinct_id": "ada", "flag_keys": [] });
    let agent = format!("user-agent: {agent}");
    let headers = ["content-type: application/json", agent.as_str()];
    let answer = client.request("POST /flags?v=2", &headers, body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    for name in names(team, library) {
        *sent.entry(name).or_default() += 1;
    }
}

/// Sends from two connections while something is done: what was sent.
fn under_load(service: &Service, trouble: impl FnOnce()) -> Counts {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..2)
            .map(|thread| {
                let done = &done;
                scope.spawn(move || {
                    let mut sent = Counts::new();
                    let mut client = Client::connect(service.address);
                    for at in thread.. {
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                        let (agent, library) = AGENTS[at % AGENTS.len()];
                        send(&mut client, TEAMS[at % TEAMS.len()], agent, &mut sent, library);
                    }
                    sent
                })
            })
            .collect();
        // Also when the trouble is more than was asked for: the senders must not outlive it.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(trouble));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
        let mut sent = Counts::new();
        for sender in senders {
            for (name, count) in sender.join().expect("every request is answered") {
                *sent.entry(name).or_default() += count;
            }
        }
        sent
    })
}

/// What Redis holds for our teams.
fn stored(connection: &mut redis::Connection) -> Counts {
    let mut counts = Counts::new();
    for team in TEAMS {
        for (_, library) in AGENTS {
            for name in names(team, library) {
                let fields: BTreeMap<String, u64> = connection.hgetall(&name).expect("HGETALL");
                for field in fields.keys() {
                    assert!(
                        field.parse::<u64>().is_ok_and(|field| field > 14_000_000),
                        "{field}"
                    );
                }
                if !fields.is_empty() {
                    counts.insert(name, fields.values().sum());
                }
            }
        }
    }
    counts
}

fn started(world: &World, changes: &[(&'static str, &str)]) -> Service {
    for team in TEAMS {
        world.in_redis("redis", team);
        world.in_s3(team);
    }
    let service = Service::start(world, changes);
    for team in TEAMS {
        until("the team", || {
            let body = json!({ "token": team.token(), "disable_flags": true });
            (service.post("/flags?v=2", &body, &[]).status == 200).then_some(())
        });
    }
    service
}

/// Ends the service and holds what it wrote against what was sent.
fn ends_exact(world: &World, service: Service, sent: &Counts) {
    service.terminate();
    has_ended_exact(world, service, sent);
}

fn has_ended_exact(world: &World, mut service: Service, sent: &Counts) {
    assert!(sent.values().sum::<u64>() > 100, "hardly a load: {sent:?}");
    assert_eq!(service.ended(), Some(0), "{:?}", service.errors());
    assert_eq!(service.said("not written"), 0, "{:?}", service.errors());
    assert_eq!(&stored(&mut world.redis("redis")), sent);
}

fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A moment of load: several flushes long.
const MOMENT: Duration = Duration::from_millis(150);

#[test]
fn exact_while_redis_is_paused_and_resumed() {
    let world = World::new(&["redis"]);
    let service = started(&world, &BUSY);
    let sent = under_load(&service, || {
        for _ in 0..6 {
            pause(MOMENT);
            world.servers.command("pause redis");
            // Long enough for several attempts to be lost; all of them are run at once afterwards.
            pause(MOMENT * 6);
            world.servers.command("resume redis");
            pause(MOMENT * 2);
        }
    });
    assert!(
        service.said("usage counts cannot be written") > 0,
        "nothing went wrong"
    );
    until("the last counts", || {
        (stored(&mut world.redis("redis")) == sent).then_some(())
    });
    ends_exact(&world, service, &sent);
}

#[test]
fn exact_while_redis_is_killed_and_comes_back_with_its_file() {
    let world = World::new(&["--appendonly", "redis"]);
    let service = started(&world, &BUSY);
    let sent = under_load(&service, || {
        for _ in 0..6 {
            pause(MOMENT);
            world.servers.command("kill redis");
            pause(MOMENT);
            world.servers.command("start redis");
            pause(MOMENT * 4);
        }
    });
    assert!(
        service.said("usage counts cannot be written") > 0,
        "nothing went wrong"
    );
    ends_exact(&world, service, &sent);
}

#[test]
fn exact_while_connections_are_cut() {
    let world = World::new(&["redis"]);
    let service = started(&world, &BUSY);
    let sent = under_load(&service, || {
        let mut connection = world.redis("redis");
        let end = Instant::now() + MOMENT * 20;
        while Instant::now() < end {
            let cut: i64 = redis::cmd("CLIENT")
                .arg(&["KILL", "TYPE", "normal"])
                .query(&mut connection)
                .expect("CLIENT KILL");
            pause(Duration::from_millis(3 + cut.unsigned_abs()));
        }
    });
    assert!(
        service.said("usage counts cannot be written") > 0,
        "nothing went wrong"
    );
    ends_exact(&world, service, &sent);
}

#[test]
fn the_end_of_the_process_writes_what_is_left() {
    let world = World::new(&["redis"]);
    let service = started(&world, &[AT_THE_END]);
    let sent = under_load(&service, || pause(MOMENT * 4));
    assert_eq!(stored(&mut world.redis("redis")), Counts::new(), "written early");
    ends_exact(&world, service, &sent);

    // The same while Redis hangs for a part of the time that there is.
    let service = started(&world, &[AT_THE_END]);
    let more = under_load(&service, || pause(MOMENT * 4));
    let mut all = sent;
    for (name, count) in more {
        *all.entry(name).or_default() += count;
    }
    world.servers.command("pause redis");
    service.terminate();
    pause(Duration::from_millis(700));
    world.servers.command("resume redis");
    has_ended_exact(&world, service, &all);
}

#[test]
fn an_end_without_redis_says_what_was_not_written() {
    let world = World::new(&["redis"]);
    let limit = ("FLAGS_BILLING_SHUTDOWN_FLUSH_TIMEOUT_MS", "300");
    let mut service = started(&world, &[AT_THE_END, limit]);
    let mut sent = Counts::new();
    let mut client = Client::connect(service.address);
    for _ in 0..10 {
        send(&mut client, TEAMS[0], "curl/8", &mut sent, "other");
    }
    drop(client);
    world.servers.command("kill redis");
    let start = Instant::now();
    service.terminate();
    assert_eq!(service.ended(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    // The probes of the start are among them.
    until("the report", || {
        (service.said("not written, and of 0 perhaps") == 1).then_some(())
    });
}

#[test]
fn keys_beyond_the_bound_are_dropped_while_redis_is_away() {
    let world = World::new(&["redis"]);
    // One is the probe's of the start; two more teams have room.
    let bound = ("FLAGS_BILLING_MAX_PENDING_ENTRIES", "3");
    let service = started(&world, &[AT_THE_END, bound]);
    world.servers.command("kill redis");
    let (mut kept, mut dropped) = (Counts::new(), Counts::new());
    let mut client = Client::connect(service.address);
    for _ in 0..50 {
        send(&mut client, TEAMS[0], "curl/8", &mut kept, "other");
        send(&mut client, TEAMS[1], "curl/8", &mut kept, "other");
        send(&mut client, TEAMS[2], "curl/8", &mut dropped, "other");
    }
    drop(client);
    world.servers.command("start redis");
    ends_exact(&world, service, &kept);
}

#[test]
fn without_scripts_usage_is_never_counted_twice() {
    let world = World::new(&["redis"]);
    let () = redis::cmd("ACL")
        .arg(&["SETUSER", "default", "-eval"])
        .query(&mut world.redis("redis"))
        .expect("ACL");
    let mut service = started(&world, &BUSY);
    let exact = under_load(&service, || pause(MOMENT * 2));
    until("all of them", || {
        (stored(&mut world.redis("redis")) == exact).then_some(())
    });
    let mut sent = under_load(&service, || {
        for _ in 0..3 {
            pause(MOMENT);
            world.servers.command("pause redis");
            pause(MOMENT * 3);
            world.servers.command("resume redis");
        }
    });
    for (name, count) in exact {
        *sent.entry(name).or_default() += count;
    }
    service.terminate();
    assert_eq!(service.ended(), Some(0));
    for (name, count) in stored(&mut world.redis("redis")) {
        assert!(count <= sent[&name], "{name}: {count} of {}", sent[&name]);
        assert!(
            count * 10 >= sent[&name] * 5,
            "{name}: only {count} of {}",
            sent[&name]
        );
    }
}

#[test]
fn limits_that_cannot_be_read_stay_and_are_said_once() {
    const KEY: &str = "@posthog/quota-limits/feature_flag_requests";
    let world = World::new(&["redis"]);
    let later = u64::MAX / 2;
    let (limited, free) = (TEAMS[0], TEAMS[1]);
    let _: i64 = world
        .redis("redis")
        .zadd(KEY, limited.token(), later as f64)
        .expect("ZADD");
    let service = started(&world, &[("BILLING_LIMITER_CACHE_TTL_SECS", "1")]);
    let is_limited = |team: Team| {
        let answer = service.post(
            "/flags?v=2",
            &json!({ "token": team.token(), "distinct_id": "ada" }),
            &[],
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["quotaLimited"] == json!(["feature_flags"])
    };
    until("the limit", || is_limited(limited).then_some(()));
    assert!(!is_limited(free));
    world.servers.command("kill redis");
    until("the report", || {
        (service.said("billing limits of feature_flags cannot be read") == 1).then_some(())
    });
    let end = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < end {
        assert!(is_limited(limited) && !is_limited(free));
        pause(Duration::from_millis(50));
    }
    assert_eq!(service.said("billing limits of feature_flags cannot be read"), 1);
    world.servers.command("start redis");
    for team in TEAMS {
        world.in_redis("redis", team);
    }
    let _: i64 = world
        .redis("redis")
        .zadd(KEY, free.token(), later as f64)
        .expect("ZADD");
    until("the new limits", || {
        (is_limited(free) && !is_limited(limited)).then_some(())
    });
    until("the report", || {
        (service.said("billing limits of feature_flags are read again") == 1).then_some(())
    });
    let _: i64 = world.redis("redis").del(KEY).expect("DEL");
    until("no limits", || (!is_limited(free)).then_some(()));
    // A limit that is over.
    let _: i64 = world
        .redis("redis")
        .zadd(KEY, free.token(), 1_000.0)
        .expect("ZADD");
    pause(Duration::from_millis(2200));
    assert!(!is_limited(free));
}
