//! Exact keys, values, lifetimes; the three modes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use feature_flags::hypercache::{EntryCache, EntryKey, EntryWrite};
use feature_flags::store::redis::{Client, RedisEntries};
use redis::cmd;

use crate::servers::Servers;
use crate::setup::client;

fn write(payload: &'static [u8], etag: Option<&'static [u8]>, seconds: u64, tracked: bool) -> EntryWrite {
    EntryWrite {
        payload: Bytes::from_static(payload),
        etag: etag.map(Bytes::from_static),
        ttl: Duration::from_secs(seconds),
        tracked,
    }
}

async fn get(client: &Client, key: &str) -> Option<Bytes> {
    client.writer().query(cmd("GET").arg(key)).await.expect("GET")
}

async fn lifetime_ms(client: &Client, key: &str) -> i64 {
    client.writer().query(cmd("PTTL").arg(key)).await.expect("PTTL")
}

async fn score(client: &Client, set: &str, member: &str) -> Option<u64> {
    let score: Option<f64> = client
        .writer()
        .query(cmd("ZSCORE").arg(set).arg(member))
        .await
        .expect("ZSCORE");
    score.map(|score| score as u64)
}

#[tokio::test]
async fn writes_are_those_of_the_specification() {
    let servers = Servers::start(&["redis"]);
    let client = client(&servers, "redis", None).await;
    let entries = RedisEntries::new(Arc::clone(&client), None, false, false);
    let key = EntryKey::Flags(7);
    let (name, etag_name) = (
        "posthog:1:cache/teams/7/feature_flags/flags.json",
        "posthog:1:cache/teams/7/feature_flags/flags.json:etag",
    );
    assert_eq!(entries.get(&key).await, Ok(None));
    assert_eq!(entries.inspect(&key).await, Ok(None));
    let binary = b"\x80\x04\x95\x00\xff{}\r\n.";
    entries
        .put(&key, write(binary, Some(b"etag"), 604_800, true))
        .await
        .expect("put");
    assert_eq!(get(&client, name).await.as_deref(), Some(&binary[..]));
    assert_eq!(get(&client, etag_name).await.as_deref(), Some(&b"etag"[..]));
    for name in [name, etag_name] {
        let left_ms = lifetime_ms(&client, name).await;
        assert!((604_790_000..=604_800_000).contains(&left_ms), "{left_ms}");
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let expires = score(&client, "flags_cache_expiry", "7").await.expect("a member");
    assert!(
        (now + 604_790..=now + 604_800).contains(&expires),
        "{expires} at {now}"
    );
    assert_eq!(
        entries.get(&key).await.expect("get").as_deref(),
        Some(&binary[..])
    );
    assert_eq!(
        entries.get_etag(&key).await.expect("etag").as_deref(),
        Some(&b"etag"[..])
    );
    let stored = entries.inspect(&key).await.expect("inspect").expect("stored");
    assert_eq!(stored.mark.as_deref(), Some(&b"etag"[..]));
    assert!(stored.remaining.expect("expires") > Duration::from_secs(604_790));

    // Without an ETag the stored one goes; the sentinel enters no set.
    entries
        .delete(&EntryKey::Team("phc_x".into()))
        .await
        .expect("absent is fine");
    entries
        .put(&key, write(b"missing", None, 86_400, false))
        .await
        .expect("put");
    assert_eq!(get(&client, etag_name).await, None);
    entries
        .put(
            &EntryKey::Team("phc_x".into()),
            write(b"missing", None, 86_400, false),
        )
        .await
        .expect("put");
    assert_eq!(score(&client, "team_metadata_cache_expiry", "phc_x").await, None);
    entries.delete(&key).await.expect("delete");
    assert_eq!(get(&client, name).await, None);
    assert_eq!(score(&client, "flags_cache_expiry", "7").await, None);
}

#[tokio::test]
async fn repair_never_overwrites_a_payload() {
    let servers = Servers::start(&["redis"]);
    let client = client(&servers, "redis", None).await;
    let entries = RedisEntries::new(Arc::clone(&client), None, false, false);
    let key = EntryKey::Definitions(9);
    client
        .writer()
        .query::<()>(cmd("SET").arg(key.redis_etag()).arg("stale"))
        .await
        .expect("SET");
    let won = entries
        .repair(&key, write(b"repaired", Some(b"new"), 600, false))
        .await;
    assert_eq!(won, Ok(true));
    assert_eq!(
        get(&client, &key.redis_etag()).await.as_deref(),
        Some(&b"new"[..])
    );
    let left_ms = lifetime_ms(&client, &key.redis()).await;
    assert!((590_000..=600_000).contains(&left_ms), "{left_ms}");
    let won = entries
        .repair(&key, write(b"older", Some(b"older"), 600, false))
        .await;
    assert_eq!(won, Ok(false));
    assert_eq!(
        get(&client, &key.redis()).await.as_deref(),
        Some(&b"repaired"[..])
    );
    assert_eq!(
        get(&client, &key.redis_etag()).await.as_deref(),
        Some(&b"new"[..])
    );
    assert_eq!(score(&client, "flag_definitions_cache_expiry", "9").await, None);
}

#[tokio::test]
async fn modes_choose_the_client_and_keep_the_etag_beside_its_payload() {
    let servers = Servers::start(&["redis", "flags-redis"]);
    let shared = client(&servers, "redis", None).await;
    let dedicated = client(&servers, "flags-redis", None).await;
    let entries = |enabled, definitions| {
        RedisEntries::new(
            Arc::clone(&shared),
            Some(Arc::clone(&dedicated)),
            enabled,
            definitions,
        )
    };
    let (flags, definitions) = (EntryKey::Flags(1), EntryKey::Definitions(1));
    let set = async |client: &Client, key: String, value: &str| {
        client
            .writer()
            .query::<()>(cmd("SET").arg(key).arg(value))
            .await
            .expect("SET");
    };

    // Mode 2: shared has only a stale ETag, the payload and its ETag are in the dedicated one.
    let both = entries(false, false);
    set(&shared, flags.redis_etag(), "stale").await;
    set(&dedicated, flags.redis(), "dedicated").await;
    set(&dedicated, flags.redis_etag(), "dedicated etag").await;
    assert_eq!(
        both.get(&flags).await.expect("get").as_deref(),
        Some(&b"dedicated"[..])
    );
    assert_eq!(
        both.get_etag(&flags).await.expect("get").as_deref(),
        Some(&b"dedicated etag"[..])
    );
    set(&shared, flags.redis(), "shared").await;
    assert_eq!(
        both.get(&flags).await.expect("get").as_deref(),
        Some(&b"shared"[..])
    );
    assert_eq!(
        both.get_etag(&flags).await.expect("get").as_deref(),
        Some(&b"stale"[..])
    );
    // The two differ: no ETag to skip a write for.
    assert_eq!(
        both.inspect(&flags).await.expect("inspect").expect("stored").mark,
        None
    );
    both.put(&flags, write(b"new", Some(b"new etag"), 60, true))
        .await
        .expect("put");
    for client in [&shared, &dedicated] {
        assert_eq!(get(client, &flags.redis()).await.as_deref(), Some(&b"new"[..]));
    }

    // Mode 3: flags only dedicated, definitions by their switch, written to both.
    let third = entries(true, false);
    set(&shared, flags.redis(), "of shared").await;
    third
        .put(&flags, write(b"third", None, 60, true))
        .await
        .expect("put");
    assert_eq!(
        get(&shared, &flags.redis()).await.as_deref(),
        Some(&b"of shared"[..])
    );
    assert_eq!(
        third.get(&flags).await.expect("get").as_deref(),
        Some(&b"third"[..])
    );
    third
        .put(&definitions, write(b"mirrored", Some(b"e"), 60, true))
        .await
        .expect("put");
    set(&dedicated, definitions.redis(), "of dedicated").await;
    assert_eq!(
        third.get(&definitions).await.expect("get").as_deref(),
        Some(&b"mirrored"[..])
    );
    let fourth = entries(true, true);
    assert_eq!(
        fourth.get(&definitions).await.expect("get").as_deref(),
        Some(&b"of dedicated"[..])
    );

    // The dedicated one goes: shared stands in for payloads, never for ETags, and its silence proves nothing.
    servers.command("kill flags-redis");
    crate::setup::until("the loss", async || {
        (third.get(&flags).await.ok()??.as_ref() == b"of shared").then_some(())
    })
    .await;
    assert!(third.get(&EntryKey::Flags(404)).await.is_err());
    assert!(third.get_etag(&flags).await.is_err());
}
