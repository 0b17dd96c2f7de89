//! Replicas and primaries that die, hang, refuse, and come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::resilience::{BreakerState, RetryBudget};
use feature_flags::store::redis::{
    Client, ClientNames, ClientUrls, CookielessStore, Endpoint, EndpointSettings, EndpointState, RedisError,
    SaltError, ServerUrl,
};
use redis::cmd;

use crate::servers::Servers;
use crate::setup::{client, until};

/// Response limit of the tests' clients, and the margin of a busy machine.
const LIMIT: Duration = Duration::from_millis(100);
const MARGIN: Duration = Duration::from_millis(200);

async fn set(client: &Client, value: &str) {
    client
        .write::<()>(cmd("SET").arg("key").arg(value))
        .await
        .expect("SET");
}

async fn replicated(client: &Client, value: &str) {
    until("replication", async || {
        let stored: Option<String> = client.reader().query(cmd("GET").arg("key")).await.ok()?;
        (stored.as_deref() == Some(value)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn reads_move_to_the_primary_while_the_replica_is_away() {
    let servers = Servers::start(&["redis", "redis-replica"]);
    let client = client(&servers, "redis", Some("redis-replica")).await;
    set(&client, "value").await;
    replicated(&client, "value").await;
    let get = cmd("GET").arg("key").to_owned();
    assert_eq!(client.read::<String>(&get).await.as_deref(), Ok("value"));
    assert_eq!(client.second_attempts(), 0);

    // "Not found" is final, error replies are not.
    let absent: Option<String> = client.read(cmd("GET").arg("absent")).await.expect("nil");
    assert_eq!((absent, client.second_attempts()), (None, 0));
    let wrong = client.read::<u64>(cmd("SCARD").arg("key")).await;
    assert!(matches!(wrong, Err(RedisError::Reply(_))), "{wrong:?}");
    assert_eq!(client.second_attempts(), 1);

    servers.command("pause redis-replica");
    let start = Instant::now();
    assert_eq!(client.read::<String>(&get).await.as_deref(), Ok("value"));
    let took = start.elapsed();
    assert!(took >= LIMIT && took < LIMIT + MARGIN, "{took:?}");
    for _ in 0..10 {
        assert_eq!(client.read::<String>(&get).await.as_deref(), Ok("value"));
    }
    // The breaker is open and the connection given up: no more waiting.
    assert_eq!(client.reader().breaker(), BreakerState::Open);
    let start = Instant::now();
    assert_eq!(client.read::<String>(&get).await.as_deref(), Ok("value"));
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    servers.command("resume redis-replica");
    replicated(&client, "value").await;
    assert_eq!(client.reader().breaker(), BreakerState::Closed);

    servers.command("kill redis-replica");
    let start = Instant::now();
    assert_eq!(client.read::<String>(&get).await.as_deref(), Ok("value"));
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    servers.command("start redis-replica");
    replicated(&client, "value").await;
}

#[tokio::test]
async fn nothing_waits_for_a_connection_and_it_comes_back_by_itself() {
    let servers = Servers::start(&["redis"]);
    let client = client(&servers, "redis", None).await;
    set(&client, "value").await;
    let mut states = client.writer().watch();
    servers.command("kill redis");
    // Noticed without a command.
    states
        .wait_for(|state| matches!(state, EndpointState::Failed(RedisError::Unavailable(_))))
        .await
        .expect("watched");
    for _ in 0..100 {
        let start = Instant::now();
        let reply = client.write::<()>(&cmd("PING")).await;
        assert!(matches!(reply, Err(RedisError::Unavailable(_))), "{reply:?}");
        assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    }
    assert_eq!(client.second_attempts(), 0, "there is no other server");
    servers.command("start redis");
    states
        .wait_for(|state| *state == EndpointState::Connected)
        .await
        .expect("watched");
    assert_eq!(client.write::<String>(&cmd("PING")).await.as_deref(), Ok("PONG"));
}

#[tokio::test]
async fn only_the_first_connection_is_waited_for_and_not_for_long() {
    let servers = Servers::start(&["redis"]);
    let url = ServerUrl::parse(&servers.url("redis")).expect("url");
    let endpoint = Endpoint::start("redis", url, EndpointSettings::default());
    // Nothing has been polled since: the connection cannot be there.
    assert_eq!(endpoint.state(), EndpointState::Connecting);
    let pong = endpoint.query::<String>(&cmd("PING")).await;
    assert_eq!(pong.as_deref(), Ok("PONG"));

    // It accepts and says nothing; connecting would take 5 s.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("redis://{}/", silent.local_addr().expect("address"));
    let start = Instant::now();
    let endpoint = Endpoint::start(
        "redis",
        ServerUrl::parse(&url).expect("url"),
        EndpointSettings::default(),
    );
    let reply = endpoint.query::<()>(&cmd("PING")).await;
    assert!(matches!(reply, Err(RedisError::Unavailable(_))), "{reply:?}");
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(1) + MARGIN,
        "{took:?}"
    );
    assert_eq!(endpoint.state(), EndpointState::Connecting);
    let start = Instant::now();
    let reply = endpoint.query::<()>(&cmd("PING")).await;
    assert!(matches!(reply, Err(RedisError::Unavailable(_))), "{reply:?}");
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn commands_beyond_the_bound_are_refused_at_once() {
    let servers = Servers::start(&["redis"]);
    let settings = EndpointSettings {
        in_flight_max: 1,
        ..EndpointSettings::default()
    };
    let url = ServerUrl::parse(&servers.url("redis")).expect("url");
    let endpoint = Endpoint::start("redis", url, settings);
    assert_eq!(endpoint.first_attempt().await, EndpointState::Connected);
    servers.command("pause redis");
    let ping = cmd("PING");
    let refused = async {
        let start = Instant::now();
        (endpoint.query::<()>(&ping).await, start.elapsed())
    };
    let (first, (second, took)) = tokio::join!(biased; endpoint.query::<()>(&ping), refused);
    assert_eq!(first, Err(RedisError::Timeout));
    assert!(matches!(second, Err(RedisError::Unavailable(_))), "{second:?}");
    assert!(took < LIMIT, "{took:?}");
    servers.command("resume redis");
    until("a free place", async || endpoint.query::<()>(&ping).await.ok()).await;
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_moves_no_read() {
    let servers = Servers::start(&["redis"]);
    let primary = client(&servers, "redis", None).await;
    primary
        .write::<()>(cmd("CONFIG").arg("SET").arg("requirepass").arg("right"))
        .await
        .expect("CONFIG SET");
    let port = servers.port("redis");
    let urls = ClientUrls::parse(
        Some(&format!("redis://:right@127.0.0.1:{port}/")),
        Some(&format!("redis://:wrong@127.0.0.1:{port}/")),
    )
    .expect("urls")
    .expect("a writer")
    .expect("urls are set");
    assert!(!format!("{urls:?}").contains("wrong"));
    let names = ClientNames {
        writer: "writer",
        reader: "reader",
    };
    let client = Client::start(
        names,
        urls,
        EndpointSettings::default(),
        Arc::new(RetryBudget::default()),
    );
    let state = client.reader().first_attempt().await;
    assert!(
        matches!(state, EndpointState::Failed(RedisError::Denied(_))),
        "{state:?}"
    );
    assert_eq!(client.writer().first_attempt().await, EndpointState::Connected);
    let reply = client.read::<Option<String>>(cmd("GET").arg("key")).await;
    assert!(matches!(reply, Err(RedisError::Denied(_))), "{reply:?}");
    assert_eq!(client.second_attempts(), 0);
}

#[tokio::test]
async fn salts_are_shared_and_never_overwritten() {
    let servers = Servers::start(&["redis"]);
    let client = client(&servers, "redis", None).await;
    let reading = CookielessStore::new(Arc::clone(&client), false);
    assert_eq!(reading.salt("2026-01-01").await, Err(SaltError::Absent));
    let store = CookielessStore::new(Arc::clone(&client), true);
    let (one, other) = tokio::join!(store.salt("2026-01-01"), store.salt("2026-01-01"));
    let salt = one.expect("salt");
    assert_eq!(other, Ok(salt));
    assert_eq!(reading.salt("2026-01-01").await, Ok(salt));
    let left: i64 = client
        .writer()
        .query(cmd("TTL").arg("cookieless_salt:2026-01-01"))
        .await
        .expect("TTL");
    assert!((86_390..=86_400).contains(&left), "{left}");
    client
        .write::<()>(cmd("SET").arg("cookieless_salt:2026-01-02").arg("short"))
        .await
        .expect("SET");
    assert_eq!(store.salt("2026-01-02").await, Err(SaltError::Corrupt));
    assert_eq!(store.identify_count(3, "hash").await, Ok(0));
    client
        .write::<()>(cmd("SADD").arg("cklsi:3:hash").arg("a").arg("b"))
        .await
        .expect("SADD");
    assert_eq!(store.identify_count(3, "hash").await, Ok(2));
}
