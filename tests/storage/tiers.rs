//! The order of the tiers and what each may say: Redis, then S3, then PostgreSQL (`storage.md` 2.3, 2.4, 2.8, 2.10).

use std::io::Write;

use bytes::Bytes;
use feature_flags::definition::RawProject;
use feature_flags::hypercache::value::{Compression, MISSING, encode};
use feature_flags::hypercache::{EntryKey, etag};
use feature_flags::snapshot::{LoadError, Loaded, ProjectSource};
use feature_flags::store::connected::Connected;
use redis::cmd;
use serde_json::{Value, json};

use crate::load::raw;
use crate::monitor::Monitor;
use crate::stores::{Layout, Stores, until};

const TOKEN: &str = "phc_exampleProjectToken0001";
const TEAM: &str = include_str!("../hypercache/full_metadata.json");
const FLAGS: &str = include_str!("../hypercache/flags.json");
const ONE_FLAG: &str = include_str!("../hypercache/one_flag.json");
const TWO_FLAGS: &str = include_str!("../hypercache/two_flags.json");
const TWO_FLAGS_STORED: &str = include_str!("../hypercache/two_flags.hex");
const FLAGS_KEY: &str = "posthog:1:cache/teams/7/feature_flags/flags.json";
const TEAM_KEY: &str =
    "posthog:1:cache/team_tokens/phc_exampleProjectToken0001/team_metadata/full_metadata.json";
const CONFIG_KEY: &str = "posthog:1:cache/team_tokens/phc_exampleProjectToken0001/array/config.json";

async fn set(stores: &Stores, key: &str, value: &[u8]) {
    let mut redis = stores.redis("redis").await;
    cmd("SET")
        .arg(key)
        .arg(value)
        .exec_async(&mut redis)
        .await
        .expect("SET");
    stores.replicate().await;
}

async fn get(stores: &Stores, key: &str) -> Option<Vec<u8>> {
    let mut redis = stores.redis("redis").await;
    cmd("GET").arg(key).query_async(&mut redis).await.expect("GET")
}

async fn put_object(connected: &Connected, key: EntryKey, text: &str) {
    let objects = connected.warmer().objects;
    objects
        .put(&key, Bytes::copy_from_slice(text.as_bytes()))
        .await
        .expect("S3 takes it");
}

async fn load(connected: &Connected) -> Option<RawProject> {
    raw(connected
        .projects()
        .load(TOKEN, None)
        .await
        .expect("some tier answers"))
}

fn stored(text: &str) -> Vec<u8> {
    encode(text.trim_end(), Compression::Zstd)
}

fn keys(project: &RawProject) -> Vec<&str> {
    project.flags.iter().map(|flag| flag.key.as_str()).collect()
}

/// As upstream's Rust writes: protocol 3, without frame and memo.
fn protocol_3(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short").to_le_bytes();
    [b"\x80\x03X", &length[..], text.as_bytes(), b"."].concat()
}

/// A frame whose writer did not know how long it would become.
fn streamed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 0)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    encoder.write_all(first)?;
    encoder.flush()?;
    encoder.write_all(second)?;
    encoder.finish()
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
        .collect()
}

/// Rows of the same team that say something else than the entries: their key shows where an answer came from.
fn rows() -> Value {
    json!({
        "team": { "id": 7, "api_token": TOKEN },
        "flags": [
            { "id": 901, "key": "of-rows", "active": true, "filters": { "groups": [] } },
            { "id": 902, "key": "above", "active": true, "filters": { "groups": [ { "properties": [
                { "key": "901", "type": "flag", "value": true, "operator": "flag_evaluates_to" }
            ] } ] } }
        ],
        "config": { "of": "rows" }
    })
}

#[tokio::test]
async fn values_of_every_writer_are_read_from_redis_alone() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = stores.open().await;
    stores.import_rows(&rows()).await;
    set(&stores, TEAM_KEY, &stored(TEAM)).await;
    set(&stores, CONFIG_KEY, &stored(r#"{"token": "x"}"#)).await;
    let two_flags = TWO_FLAGS.trim_end();
    let streamed = streamed(&protocol_3(two_flags)).expect("zstd");
    // Neither a content size nor a single segment, from which the size would follow.
    assert_eq!(streamed[4] & 0b1110_0000, 0, "no content size");
    for (writer, value, flags) in [
        (
            "Django, compressed",
            hex(TWO_FLAGS_STORED),
            &["alpha", "beta"][..],
        ),
        ("Django, plain", stored(ONE_FLAG), &["alpha"]),
        ("Rust, compressed", streamed, &["alpha", "beta"]),
        ("Rust, plain", protocol_3(ONE_FLAG.trim_end()), &["alpha"]),
        ("ours", stored(TWO_FLAGS), &["alpha", "beta"]),
    ] {
        set(&stores, FLAGS_KEY, &value).await;
        let project = load(&connected).await.expect("a project");
        assert_eq!(keys(&project), flags, "{writer}");
        assert_eq!(project.team.timezone, "Europe/Berlin");
        assert_eq!(project.remote_config.as_deref(), Some(r#"{"token": "x"}"#));
    }
}

#[tokio::test]
async fn what_redis_does_not_have_is_read_from_s3_and_repaired() {
    let stores = Stores::start(Layout::Shared).await;
    let mut monitor = Monitor::start(&stores, "redis").await;
    let connected = stores.open().await;
    stores.import_rows(&rows()).await;
    let (flags, config) = (FLAGS.trim_end(), r#"{"token": "x"}"#);
    put_object(&connected, EntryKey::Team(TOKEN.into()), TEAM.trim_end()).await;
    put_object(&connected, EntryKey::Flags(7), flags).await;
    put_object(&connected, EntryKey::Config(TOKEN.into()), config).await;
    let project = load(&connected).await.expect("a project");
    assert_eq!(project.team.timezone, "Europe/Berlin");
    assert!(keys(&project).contains(&"new-checkout") && !keys(&project).contains(&"of-rows"));
    assert_eq!(project.remote_config.as_deref(), Some(config));

    let etag_key = format!("{FLAGS_KEY}:etag");
    until("repairs", async || {
        let repaired = get(&stores, &etag_key).await.is_some() && get(&stores, CONFIG_KEY).await.is_some();
        repaired.then_some(())
    })
    .await;
    assert_eq!(get(&stores, FLAGS_KEY).await, Some(stored(flags)));
    assert_eq!(get(&stores, &etag_key).await, Some(stored(&etag(flags))));
    assert_eq!(get(&stores, CONFIG_KEY).await, Some(stored(config)));
    assert_eq!(get(&stores, TEAM_KEY).await, None, "a team entry proves a token");
    let writes = monitor.writes().await;
    let of = |key: &str| {
        writes
            .iter()
            .filter(|write| write.split(' ').nth(1) == Some(key))
            .collect::<Vec<_>>()
    };
    for (key, ending) in [
        (FLAGS_KEY, " NX EX 600"),
        (&etag_key, " EX 600"),
        (CONFIG_KEY, " NX EX 600"),
    ] {
        assert!(
            matches!(of(key)[..], [write] if write.ends_with(ending)),
            "{writes:?}"
        );
    }
    assert!(
        !of(&etag_key)[0].contains(" NX "),
        "the ETag goes with the payload"
    );
    assert_eq!(writes.len(), 3, "no expiry sets: {writes:?}");

    // Redis is first from now on.
    set(&stores, FLAGS_KEY, &stored(ONE_FLAG)).await;
    assert_eq!(keys(&load(&connected).await.expect("a project")), ["alpha"]);
}

#[tokio::test]
async fn nothing_is_repaired_where_writes_are_skipped() {
    let stores = Stores::start(Layout::Shared).await;
    let mut monitor = Monitor::start(&stores, "redis").await;
    let mut settings = stores.settings();
    settings.skip_writes = true;
    let connected = stores.open_with(settings).await;
    put_object(&connected, EntryKey::Team(TOKEN.into()), TEAM.trim_end()).await;
    put_object(&connected, EntryKey::Flags(7), FLAGS.trim_end()).await;
    for _ in 0..5 {
        assert!(load(&connected).await.is_some());
    }
    assert_eq!(monitor.writes().await, Vec::<String>::new());
}

#[tokio::test]
async fn corrupt_values_fall_to_s3_and_are_left_alone() {
    let stores = Stores::start(Layout::Shared).await;
    let mut monitor = Monitor::start(&stores, "redis").await;
    let connected = stores.open().await;
    stores.import_rows(&rows()).await;
    set(&stores, TEAM_KEY, b"no pickle").await;
    set(&stores, FLAGS_KEY, &stored("{not JSON")).await;
    monitor.writes().await;
    put_object(&connected, EntryKey::Team(TOKEN.into()), TEAM.trim_end()).await;
    put_object(&connected, EntryKey::Flags(7), ONE_FLAG.trim_end()).await;
    let project = load(&connected).await.expect("a project");
    assert_eq!(
        (project.team.timezone.as_str(), keys(&project)),
        ("Europe/Berlin", vec!["alpha"])
    );
    // Without the objects the rows are right; nobody trusts the reader to say what is in the cache.
    for key in [EntryKey::Team(TOKEN.into()), EntryKey::Flags(7)] {
        connected
            .warmer()
            .objects
            .delete(&key)
            .await
            .expect("S3 deletes it");
    }
    assert_eq!(
        keys(&load(&connected).await.expect("a project")),
        ["of-rows", "above"]
    );
    assert_eq!(monitor.writes().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_no_cache_has_is_built_from_rows_with_its_stages() {
    let stores = Stores::start(Layout::Shared).await;
    let mut monitor = Monitor::start(&stores, "redis").await;
    let connected = stores.open().await;
    stores.import_rows(&rows()).await;
    let project = load(&connected).await.expect("a project");
    assert_eq!(keys(&project), ["of-rows", "above"]);
    let metadata = project.evaluation_metadata.expect("metadata");
    assert_eq!(metadata.dependency_stages, [vec![901], vec![902]]);
    assert!(project.remote_config.is_none(), "configuration has no third tier");
    assert_eq!(monitor.writes().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_sentinel_of_each_entry_ends_the_search() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = stores.open().await;
    stores.import_rows(&rows()).await;
    put_object(&connected, EntryKey::Flags(7), ONE_FLAG.trim_end()).await;
    put_object(&connected, EntryKey::Config(TOKEN.into()), r#"{"of": "s3"}"#).await;
    let missing = stored(MISSING);
    set(&stores, FLAGS_KEY, &missing).await;
    let project = load(&connected).await.expect("a project");
    assert!(project.flags.is_empty(), "a team without flags");
    assert_eq!(project.remote_config.as_deref(), Some(r#"{"of": "s3"}"#));
    set(&stores, CONFIG_KEY, &missing).await;
    assert!(load(&connected).await.expect("a project").remote_config.is_none());
    set(&stores, TEAM_KEY, &missing).await;
    assert!(
        load(&connected).await.is_none(),
        "no such token, whatever PostgreSQL says"
    );
}

#[tokio::test]
async fn teams_are_not_looked_for_in_postgresql_when_told_so() {
    let mut stores = Stores::start(Layout::Shared).await;
    let mut settings = stores.settings();
    settings.tiers.skip_team_fallback = true;
    let connected = stores.open_with(settings).await;
    stores.import_rows(&rows()).await;
    assert!(load(&connected).await.is_none());
    // Flags still come from the rows once some cache has the team.
    set(&stores, TEAM_KEY, &stored(TEAM)).await;
    assert_eq!(
        keys(&load(&connected).await.expect("a project")),
        ["of-rows", "above"]
    );
    // A tier that is away is no proof that there is no team.
    let mut redis = stores.redis("redis").await;
    cmd("DEL")
        .arg(TEAM_KEY)
        .exec_async(&mut redis)
        .await
        .expect("DEL");
    stores.replicate().await;
    stores.objects.stop().await;
    let failed: Result<Loaded, LoadError> = connected.projects().load(TOKEN, None).await;
    assert!(
        matches!(failed, Err(LoadError::Unavailable(_) | LoadError::Failed(_))),
        "{failed:?}"
    );
}

#[tokio::test]
async fn dual_write_reads_shared_then_dedicated_and_repairs_both() {
    let stores = Stores::start(Layout::DualWrite).await;
    let connected = stores.open().await;
    let (mut shared, mut dedicated) = (stores.redis("redis").await, stores.redis("flags-redis").await);
    // As Django leaves them that writes to the dedicated one alone.
    for (key, text) in [(TEAM_KEY, TEAM), (FLAGS_KEY, ONE_FLAG)] {
        cmd("SET")
            .arg(key)
            .arg(stored(text))
            .exec_async(&mut dedicated)
            .await
            .expect("SET");
    }
    assert_eq!(keys(&load(&connected).await.expect("a project")), ["alpha"]);
    set(&stores, FLAGS_KEY, &stored(TWO_FLAGS)).await;
    assert_eq!(
        keys(&load(&connected).await.expect("a project")),
        ["alpha", "beta"]
    );

    for redis in [&mut shared, &mut dedicated] {
        cmd("DEL").arg(FLAGS_KEY).exec_async(redis).await.expect("DEL");
    }
    put_object(&connected, EntryKey::Flags(7), ONE_FLAG.trim_end()).await;
    assert_eq!(keys(&load(&connected).await.expect("a project")), ["alpha"]);
    until("repairs", async || {
        for redis in [&mut shared, &mut dedicated] {
            let value: Option<Vec<u8>> = cmd("GET").arg(FLAGS_KEY).query_async(redis).await.expect("GET");
            if value? != stored(ONE_FLAG) {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn dedicated_reads_nothing_from_shared() {
    let stores = Stores::start(Layout::Dedicated).await;
    let connected = stores.open().await;
    stores.import_rows(&rows()).await;
    set(&stores, TEAM_KEY, &stored(TEAM)).await;
    set(&stores, FLAGS_KEY, &stored(ONE_FLAG)).await;
    assert_eq!(
        keys(&load(&connected).await.expect("a project")),
        ["of-rows", "above"]
    );
    let mut dedicated = stores.redis("flags-redis").await;
    cmd("SET")
        .arg(FLAGS_KEY)
        .arg(stored(TWO_FLAGS))
        .exec_async(&mut dedicated)
        .await
        .expect("SET");
    assert_eq!(
        keys(&load(&connected).await.expect("a project")),
        ["alpha", "beta"]
    );
}
