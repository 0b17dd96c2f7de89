//! Writing usage counts exactly once (`storage.md` 6.6): what each reply and each missing one means.

use std::collections::BTreeMap;
use std::sync::Arc;

use feature_flags::quota::{
    Applied, ApplyError, Batch, Bucket, Increment, Library, RequestType, UsageKey, UsageSink,
};
use feature_flags::store::redis::{Client, ClientUrls, EndpointSettings, RedisError, RedisUsage, SHARED};
use redis::cmd;

use crate::servers::Servers;
use crate::setup::{client, until};

const FIELD: &str = "14726880";

fn batch(id: &str, counts: &[(i32, u64)]) -> Batch {
    let increment = |(team_id, count): &(i32, u64)| Increment {
        key: UsageKey::new(RequestType::Decide, *team_id, Library::Node),
        bucket: Bucket(FIELD.parse().unwrap()),
        count: *count,
    };
    Batch {
        id: id.to_owned(),
        increments: counts.iter().map(increment).collect(),
        in_doubt: false,
    }
}

async fn hash(client: &Client, name: &str) -> BTreeMap<String, u64> {
    let mut all = cmd("HGETALL");
    client.write(all.arg(name)).await.expect("HGETALL")
}

async fn count(client: &Client, team_id: i32) -> (u64, u64) {
    let team = hash(client, &format!("posthog:decide_requests:{team_id}")).await;
    let library = hash(
        client,
        &format!("posthog:decide_requests:sdk:{team_id}:posthog-node"),
    )
    .await;
    for hash in [&team, &library] {
        assert!(hash.keys().all(|field| field == FIELD), "{hash:?}");
    }
    let of = |hash: BTreeMap<String, u64>| hash.get(FIELD).copied().unwrap_or(0);
    (of(team), of(library))
}

async fn run(client: &Client, words: &[&str]) {
    let mut command = cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    client.write::<redis::Value>(&command).await.expect("runs");
}

#[tokio::test]
async fn a_batch_counts_once_however_often_it_is_sent() {
    let servers = Servers::start(&["redis"]);
    let client = client(&servers, "redis", None).await;
    let usage = RedisUsage::new(client.clone());
    for _ in 0..3 {
        let done = usage.apply(&batch("p:1", &[(1, 5), (2, 7)])).await;
        assert_eq!(done, Ok(Applied::default()));
    }
    // Elsewhere, by a process that has the same numbers: another batch.
    let other = RedisUsage::new(client.clone());
    assert_eq!(
        other.apply(&batch("q:1", &[(1, 1)])).await,
        Ok(Applied::default())
    );
    assert_eq!(
        (count(&client, 1).await, count(&client, 2).await),
        ((6, 6), (7, 7))
    );
    let mut ttl = cmd("TTL");
    let ttl: i64 = client
        .write(ttl.arg("posthog:feature_flags_usage_batch:p:1"))
        .await
        .expect("TTL");
    assert!((3500..=3600).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn a_key_of_another_type_costs_only_itself_and_is_known_after_a_lost_reply() {
    let servers = Servers::start(&["redis"]);
    let client = client(&servers, "redis", None).await;
    run(&client, &["SET", "posthog:decide_requests:2", "text"]).await;
    run(
        &client,
        &[
            "HSET",
            "posthog:decide_requests:sdk:3:posthog-node",
            FIELD,
            "text",
        ],
    )
    .await;
    let counts = [(1, 5), (2, 7), (3, 9), (4, 11)];
    let refused = Ok(Applied { refused: vec![1, 2] });
    let usage = RedisUsage::new(client.clone());
    assert_eq!(usage.apply(&batch("p:1", &counts)).await, refused);
    assert_eq!(
        usage.apply(&batch("p:1", &counts)).await,
        refused,
        "as if the reply had been lost"
    );
    assert_eq!(
        (count(&client, 1).await, count(&client, 4).await),
        ((5, 5), (11, 11))
    );
    // The same where scripts are not allowed.
    run(&client, &["ACL", "SETUSER", "default", "-eval"]).await;
    assert_eq!(usage.apply(&batch("p:2", &counts)).await, refused);
    assert_eq!(
        (count(&client, 1).await, count(&client, 4).await),
        ((10, 10), (22, 22))
    );
}

#[tokio::test]
async fn a_server_that_refuses_has_done_nothing() {
    let servers = Servers::start(&["redis", "redis-replica"]);
    let client = client(&servers, "redis", Some("redis-replica")).await;
    for scripts in ["+eval", "-eval"] {
        run(&client, &["ACL", "SETUSER", "default", scripts]).await;
        let usage = RedisUsage::new(client.clone());
        run(&client, &["CONFIG", "SET", "maxmemory", "1"]).await;
        let full = usage.apply(&batch("p:1", &[(1, 5)])).await;
        assert!(matches!(full, Err(ApplyError::NotApplied(_))), "{full:?}");
        run(&client, &["CONFIG", "SET", "maxmemory", "0"]).await;
        assert_eq!(count(&client, 1).await, (0, 0));
    }
    run(&client, &["ACL", "SETUSER", "default", "+eval"]).await;
    // A primary that has become a replica.
    let replica = crate::setup::client(&servers, "redis-replica", None).await;
    let demoted = RedisUsage::new(replica).apply(&batch("p:1", &[(1, 5)])).await;
    assert!(matches!(demoted, Err(ApplyError::NotApplied(_))), "{demoted:?}");
    let usage = RedisUsage::new(client.clone());
    assert_eq!(
        usage.apply(&batch("p:1", &[(1, 5)])).await,
        Ok(Applied::default())
    );
    assert_eq!(count(&client, 1).await, (5, 5));
}

#[tokio::test]
async fn what_a_paused_server_does_later_is_not_done_again() {
    let servers = Servers::start(&["redis"]);
    let client = client(&servers, "redis", None).await;
    let usage = RedisUsage::new(client.clone());
    servers.command("pause redis");
    let mut batch = batch("p:1", &[(1, 5)]);
    let silent = usage.apply(&batch).await;
    assert!(matches!(silent, Err(ApplyError::InDoubt(_))), "{silent:?}");
    batch.in_doubt = true;
    servers.command("resume redis");
    until("a reply", async || usage.apply(&batch).await.ok()).await;
    assert_eq!(count(&client, 1).await, (5, 5));
    servers.command("kill redis");
    until("the end of the connection", async || {
        let away = usage.apply(&batch).await;
        matches!(away, Err(ApplyError::NotApplied(_))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_scripts_what_is_in_doubt_is_not_sent_again() {
    let servers = Servers::start(&["redis"]);
    let client = client(&servers, "redis", None).await;
    run(&client, &["ACL", "SETUSER", "default", "-eval"]).await;
    let usage = RedisUsage::new(client.clone());
    assert_eq!(
        usage.apply(&batch("p:1", &[(1, 5)])).await,
        Ok(Applied::default())
    );
    let doubtful = Batch {
        in_doubt: true,
        ..batch("p:2", &[(1, 5)])
    };
    let lost = usage.apply(&doubtful).await;
    assert!(matches!(lost, Err(ApplyError::Lost(_))), "{lost:?}");
    servers.command("pause redis");
    let lost = usage.apply(&batch("p:3", &[(1, 5)])).await;
    assert!(matches!(lost, Err(ApplyError::Lost(_))), "{lost:?}");
    servers.command("resume redis");
    // It did count: that is what is not known.
    until("the paused command", async || {
        let mut team = cmd("HGET");
        team.arg("posthog:decide_requests:1").arg(FIELD);
        let count: u64 = client.write(&team).await.ok()?;
        (count == 10).then_some(())
    })
    .await;
    // A permission that covers our hashes and not the marker refuses the script too.
    run(
        &client,
        &[
            "ACL",
            "SETUSER",
            "default",
            "+eval",
            "resetkeys",
            "~posthog:decide_requests:*",
        ],
    )
    .await;
    let usage = RedisUsage::new(client.clone());
    assert_eq!(
        usage.apply(&batch("p:4", &[(1, 5)])).await,
        Ok(Applied::default())
    );
    assert_eq!(count(&client, 1).await, (15, 15));
}

/// A server that has no `EVAL`: only its configuration can take a command away.
struct WithoutEval(std::process::Child, u16);

impl WithoutEval {
    fn start() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("a port").port();
        drop(free);
        let mut command = std::process::Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
            .args(["--rename-command", "EVAL", ""])
            .stdout(std::process::Stdio::null());
        Self(command.spawn().expect("the Debian package redis-server"), port)
    }
}

impl Drop for WithoutEval {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_server_without_the_script_command_gets_transactions() {
    let server = WithoutEval::start();
    let url = format!("redis://127.0.0.1:{}/", server.1);
    let urls = ClientUrls::parse(Some(&url), None)
        .expect("urls")
        .expect("a writer")
        .expect("urls are set");
    let client = Arc::new(Client::start(
        SHARED,
        urls,
        EndpointSettings::default(),
        Arc::default(),
    ));
    until("the server", async || client.write::<()>(&cmd("PING")).await.ok()).await;
    let eval = client.write::<()>(cmd("EVAL").arg("return 1").arg(0)).await;
    assert!(matches!(eval, Err(RedisError::Reply(_))), "{eval:?}");
    let usage = RedisUsage::new(client.clone());
    for id in ["p:1", "p:2"] {
        assert_eq!(usage.apply(&batch(id, &[(1, 5)])).await, Ok(Applied::default()));
    }
    assert_eq!(count(&client, 1).await, (10, 10));
}
