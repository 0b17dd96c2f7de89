//! What requests cost PostgreSQL, counted at the pool of a server that is asked over TCP: one acquire and one exchange for
//! a person's row, nothing for a request that brings what it is judged by.

#[path = "wire/client.rs"]
#[allow(dead_code, reason = "shared with the wire tests")]
mod client;
#[path = "support/servers.rs"]
mod servers;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::Client;
use feature_flags::config::Config;
use feature_flags::http::{AppState, DefinitionsStores, Stores};
use feature_flags::hypercache::NoObjects;
use feature_flags::hypercache::warm::{WarmOptions, Warmer};
use feature_flags::server::Server;
use feature_flags::snapshot::{BoxFuture, TieredSettings};
use feature_flags::store::connected::{Connected, ConnectedSettings, RedisServers};
use feature_flags::store::postgres::import::{ImportTarget, import};
use feature_flags::store::postgres::{PoolSettings, PoolStats, PoolsSettings, PostgresUrl};
use feature_flags::store::redis::EndpointSettings;
use feature_flags::store::s3::S3Settings;
use serde_json::{Value, json};
use servers::Servers;

const REQUESTS: usize = 1000;
const CONNECTIONS: usize = 4;

/// Persons of the team; those of even number are on the plan that the flag wants.
const PERSONS: usize = 100;

fn document() -> String {
    let person = |number: usize| {
        let plan = if number.is_multiple_of(2) { "pro" } else { "free" };
        json!({ "distinct_ids": [format!("person-{number}")], "properties": { "plan": plan } })
    };
    json!({
        "team": { "id": 7, "api_token": "phc_rows" },
        "flags": [{ "id": 70, "key": "for-pro", "active": true, "filters": { "groups": [{ "properties": [
            { "key": "plan", "type": "person", "operator": "exact", "value": "pro" }] }] } }],
        "persons": (0..PERSONS).map(person).collect::<Vec<_>>(),
    })
    .to_string()
}

fn connected(servers: &Servers, database: &str, test_before_acquire: bool) -> Connected {
    let pool = PoolSettings {
        url: PostgresUrl::parse(database).unwrap(),
        connections_max: 4,
        connections_min: 0,
        acquire_limit: Duration::from_secs(5),
        idle_limit: None,
        lifetime_max: PoolSettings::LIFETIME_MAX,
        statement_timeout: Duration::from_secs(5),
        test_before_acquire,
    };
    Connected::open(ConnectedSettings {
        redis: RedisServers {
            url: servers.url("redis"),
            reader_url: None,
            flags_url: None,
            flags_reader_url: None,
            flags_enabled: false,
            definitions_dedicated: false,
            endpoint: EndpointSettings {
                // Not what is tested here.
                response_timeout: Some(Duration::from_secs(5)),
                ..EndpointSettings::default()
            },
            compression: false,
        },
        cookieless_url: None,
        objects: S3Settings {
            bucket: "posthog".to_owned(),
            region: "us-east-1".to_owned(),
            // Every entry is in Redis: nothing is asked of it.
            endpoint: Some("http://127.0.0.1:1".to_owned()),
        },
        pools: PoolsSettings {
            non_persons_reader: pool.clone(),
            non_persons_writer: pool.clone(),
            persons: Some((pool.clone(), pool)),
        },
        tiers: TieredSettings::default(),
        config: feature_flags::hypercache::build::ConfigOptions::default(),
        repair_ttl: Duration::ZERO,
        skip_writes: false,
        heartbeat: Some(Duration::from_secs(1)),
    })
    .unwrap()
}

fn app(connected: &Connected, variables: &HashMap<&str, &str>) -> (Arc<AppState>, Config) {
    let config = Config::read(variables).unwrap();
    let stores = Stores {
        projects: connected.projects(),
        definitions: DefinitionsStores {
            source: connected.projects(),
            rebuilds: connected.rebuilds(),
            auth: connected.auth(),
        },
        persons: connected.persons(),
        cookieless: connected.cookieless(),
        geo: None,
        retries: connected.retries(),
        check: Box::new(|| -> BoxFuture<'static, Result<(), String>> { Box::pin(async { Ok(()) }) }),
    };
    let app = Arc::new(AppState::new(&config, stores));
    tokio::spawn(app.follow_changes(Duration::from_secs(1)));
    (app, config)
}

/// Requests over several connections. `sent`: whether the property is in the request.
fn make_requests(address: SocketAddr, requests: usize, sent: bool) {
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for request in 0..requests / CONNECTIONS {
                    let number = (request * CONNECTIONS + connection) % PERSONS;
                    let mut body = json!({ "token": "phc_rows", "distinct_id": format!("person-{number}") });
                    if sent {
                        body["person_properties"] = json!({ "plan": "pro" });
                    }
                    let answer = client.request(
                        "POST /flags?v=2",
                        &["content-type: application/json"],
                        body.to_string().as_bytes(),
                    );
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    let answer = answer.json();
                    assert_eq!(
                        answer["errorsWhileComputingFlags"],
                        Value::Bool(false),
                        "{answer}"
                    );
                    let wanted = sent || number.is_multiple_of(2);
                    assert_eq!(
                        answer["flags"]["for-pro"]["enabled"],
                        Value::Bool(wanted),
                        "{answer}"
                    );
                }
            });
        }
    });
}

/// What happened in a pool between two looks: acquires, exchanges, tests.
fn between(before: PoolStats, after: PoolStats) -> [u64; 3] {
    [
        after.acquires - before.acquires,
        after.round_trips - before.round_trips,
        after.tests - before.tests,
    ]
}

#[test]
fn a_person_row_is_one_acquire_and_one_exchange_a_request() {
    let servers = Servers::start(&["postgres", "redis"]);
    let database = servers.database();
    let runtime = feature_flags::server::runtime::build(2).unwrap();
    let target = ImportTarget {
        main_url: database.clone(),
        persons_url: None,
    };
    runtime.block_on(import(target, document().as_bytes())).unwrap();
    for tested in [false, true] {
        let (connected, address) = runtime.block_on(async {
            let connected = connected(&servers, &database, tested);
            for client in connected.clients() {
                client.writer().first_attempt().await;
            }
            let warmer = Warmer {
                objects: Arc::new(NoObjects),
                ..connected.warmer()
            };
            let warmed = warmer.team(7, WarmOptions::default()).await;
            assert_eq!(warmed.failed, 0, "{:?}", warmed.failures);
            let (app, config) = app(&connected, &HashMap::from([("ADDRESS", "127.0.0.1:0")]));
            let server = Server::bind(&config.server).await.unwrap();
            let address = server.local_addr().unwrap();
            tokio::spawn(server.run(app, std::future::pending()));
            (connected, address)
        });
        let pools = connected.pools();
        let stats = || [pools.persons_reader.stats(), pools.persons_writer.stats()];
        // Connections are opened and statements prepared.
        make_requests(address, 100, false);

        let [reader, writer] = stats();
        make_requests(address, REQUESTS, false);
        let [reader_after, writer_after] = stats();
        let made = between(reader, reader_after);
        println!(
            "{REQUESTS} requests for a person's row, tested {tested}: acquires, exchanges, tests {made:?}"
        );
        let tests = if tested { REQUESTS as u64 } else { 0 };
        assert_eq!(made, [REQUESTS as u64, REQUESTS as u64, tests]);
        assert_eq!(between(writer, writer_after), [0; 3]);

        let [reader, writer] = stats();
        make_requests(address, REQUESTS, true);
        let [reader_after, writer_after] = stats();
        assert_eq!(between(reader, reader_after), [0; 3], "the request brings it");
        assert_eq!(between(writer, writer_after), [0; 3]);
    }
    runtime.shutdown_background();
}
