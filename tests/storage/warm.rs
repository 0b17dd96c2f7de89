//! `feature-flags warm` as a process: what it writes and what it leaves alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use feature_flags::hypercache::EntryKey;
use redis::cmd;
use serde_json::{Value, json};

use crate::monitor::Monitor;
use crate::object_storage::BUCKET;
use crate::process::{connected, run, text};
use crate::stores::{Layout, Stores, until};

const DAY: i64 = 86_400;

/// A small team; those with even ids have a configuration of Django's.
fn team(id: i32) -> Value {
    json!({
        "team": { "id": id, "api_token": format!("phc_{id}") },
        "group_type_mapping": { "0": "organization" },
        "flags": [
            { "id": 10 * id, "key": "one", "name": "Ünïcode 😀", "active": true, "filters": { "groups": [
                { "properties": [], "rollout_percentage": 12.5 }
            ] } },
            { "id": 10 * id + 1, "key": "two", "active": true, "filters": { "groups": [
                { "properties": [{ "key": "email", "type": "person", "value": "x".repeat(600), "operator": "icontains" }] }
            ] } }
        ],
        "config": if id % 2 == 0 { json!({ "token": format!("phc_{id}"), "surveys": false }) } else { Value::Null }
    })
}

/// Rows of teams, none of which is in a cache.
pub async fn stores(teams: std::ops::RangeInclusive<i32>) -> Stores {
    let stores = Stores::start(Layout::Shared).await;
    for id in teams {
        let mut document = team(id);
        if document["config"].is_null() {
            document.as_object_mut().expect("an object").remove("config");
        }
        stores.import_rows(&document).await;
    }
    stores
}

async fn warm(stores: &Stores, arguments: &[&str]) -> Output {
    run(connected(stores, &[&["warm"], arguments].concat())).await
}

/// Warms without a failure; the line that says what was done.
pub async fn warmed(stores: &Stores, arguments: &[&str]) -> String {
    let output = warm(stores, arguments).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

fn keys(team: i32) -> [EntryKey; 4] {
    let token = format!("phc_{team}");
    [
        EntryKey::Flags(team),
        EntryKey::Definitions(team),
        EntryKey::Team(token.as_str().into()),
        EntryKey::Config(token.as_str().into()),
    ]
}

pub fn object(stores: &Stores, key: &EntryKey) -> PathBuf {
    stores.objects.directory.path().join(BUCKET).join(key.base())
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("not so far")
}

/// Every entry key and its remaining seconds, rounded.
async fn lifetimes(stores: &Stores) -> BTreeMap<String, i64> {
    let mut redis = stores.redis("redis").await;
    let keys: Vec<String> = cmd("KEYS")
        .arg("posthog:1:*")
        .query_async(&mut redis)
        .await
        .expect("KEYS");
    let mut lifetimes = BTreeMap::new();
    for key in keys {
        let left_ms: i64 = cmd("PTTL").arg(&key).query_async(&mut redis).await.expect("PTTL");
        lifetimes.insert(key, left_ms);
    }
    lifetimes
}

async fn expiries(stores: &Stores, set: &str) -> BTreeMap<String, i64> {
    let mut redis = stores.redis("redis").await;
    let members: Vec<(String, f64)> = cmd("ZRANGE")
        .arg(set)
        .arg(0)
        .arg(-1)
        .arg("WITHSCORES")
        .query_async(&mut redis)
        .await
        .expect("ZRANGE");
    members
        .into_iter()
        .map(|(member, score)| (member, score as i64))
        .collect()
}

#[tokio::test]
async fn entries_lifetimes_and_expiry_sets_are_exact_and_a_second_run_writes_nothing() {
    let stores = stores(1..=3).await;
    let mut monitor = Monitor::start(&stores, "redis").await;
    let two = ["--team", "1", "--team", "2"];
    let line = warmed(&stores, &[&two[..], &["--dry-run"]].concat()).await;
    assert_eq!(
        line,
        "2 teams: 8 entries would be written, 0 unchanged, 0 withheld, 0 sentinels, 0 failed"
    );
    assert_eq!(monitor.writes().await, Vec::<String>::new());
    assert!(!object(&stores, &EntryKey::Flags(1)).exists());

    let before = now();
    let line = warmed(&stores, &two).await;
    let after = now();
    assert_eq!(
        line,
        "2 teams: 8 entries written, 0 unchanged, 0 withheld, 0 sentinels, 0 failed"
    );
    let mut expected = BTreeMap::new();
    for key in keys(1).into_iter().chain(keys(2)) {
        let days = if matches!(key, EntryKey::Config(_)) { 30 } else { 7 };
        expected.insert(key.redis(), days * DAY);
        if matches!(key, EntryKey::Flags(_) | EntryKey::Definitions(_)) {
            expected.insert(key.redis_etag(), days * DAY);
        }
    }
    let found = lifetimes(&stores).await;
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (key, left_ms) in found {
        let written_at_least = expected[&key] * 1_000 - (now() - before + 1) * 1_000;
        assert!(
            (written_at_least..=expected[&key] * 1_000).contains(&left_ms),
            "{key}: {left_ms}"
        );
    }
    for (set, members) in [
        ("flags_cache_expiry", ["1", "2"]),
        ("flag_definitions_cache_expiry", ["1", "2"]),
        ("team_metadata_cache_expiry", ["phc_1", "phc_2"]),
    ] {
        let expiries = expiries(&stores, set).await;
        assert_eq!(expiries.keys().collect::<Vec<_>>(), members, "{set}");
        for score in expiries.values() {
            assert!(
                (before + 7 * DAY..=after + 7 * DAY).contains(score),
                "{set}: {score}"
            );
        }
    }
    monitor.writes().await;

    let line = warmed(&stores, &two).await;
    assert_eq!(
        line,
        "2 teams: 0 entries written, 8 unchanged, 0 withheld, 0 sentinels, 0 failed"
    );
    assert_eq!(
        monitor.writes().await,
        Vec::<String>::new(),
        "nothing has changed"
    );
    let line = warmed(&stores, &["--all"]).await;
    assert_eq!(
        line,
        "3 teams: 4 entries written, 8 unchanged, 0 withheld, 0 sentinels, 0 failed"
    );
    let writes = monitor.writes().await;
    assert!(
        !writes.is_empty()
            && writes
                .iter()
                .all(|write| write.contains("/3/") || write.contains("phc_3") || write.ends_with(" 3")),
        "{writes:?}"
    );

    let line = warmed(&stores, &["--team", "99"]).await;
    assert_eq!(
        line,
        "1 teams: 0 entries written, 0 unchanged, 0 withheld, 2 sentinels, 0 failed"
    );
    let lifetimes = lifetimes(&stores).await;
    assert!((DAY * 990..=DAY * 1_000).contains(&lifetimes[&EntryKey::Flags(99).redis()]));
    assert!(!lifetimes.contains_key(&EntryKey::Flags(99).redis_etag()));
    assert!(!expiries(&stores, "flags_cache_expiry").await.contains_key("99"));
}

#[tokio::test]
async fn an_emptied_group_mapping_keeps_the_definitions_that_are_there() {
    let stores = stores(2..=2).await;
    warmed(&stores, &["--all"]).await;
    let before = std::fs::read(object(&stores, &EntryKey::Definitions(2))).expect("an object");
    assert!(text(&before).contains(r#""group_type_mapping": {"0": "organization"}"#));
    stores.persons_sql("DELETE FROM posthog_grouptypemapping").await;
    let mut monitor = Monitor::start(&stores, "redis").await;
    let line = warmed(&stores, &["--all", "--force"]).await;
    assert_eq!(
        line,
        "1 teams: 3 entries written, 0 unchanged, 1 withheld, 0 sentinels, 0 failed"
    );
    let writes = monitor.writes().await;
    assert!(
        !writes.iter().any(|write| write.contains("flags_with_cohorts")),
        "{writes:?}"
    );
    assert_eq!(
        std::fs::read(object(&stores, &EntryKey::Definitions(2))).expect("an object"),
        before
    );
}

#[tokio::test]
async fn failed_entries_are_named_and_a_second_run_writes_them() {
    let mut stores = stores(1..=2).await;
    let mut denied = connected(&stores, &["warm", "--all"]);
    denied.env("AWS_SECRET_ACCESS_KEY", "wrong");
    let denied = run(denied).await;
    stores.objects.stop().await;
    let away = warm(&stores, &["--all"]).await;
    for (what, output) in [("denied", &denied), ("away", &away)] {
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{what}: {errors}");
        for id in 1..=2 {
            for entry in ["flags.json", "flags_with_cohorts.json", "full_metadata.json"] {
                let named = format!("team {id}: {entry}: ");
                assert!(errors.contains(&named), "{what}: no {named:?} in {errors}");
            }
        }
    }
    assert!(
        text(&denied.stderr).contains("denied"),
        "{}",
        text(&denied.stderr)
    );
    stores.objects.restart().await;
    warmed(&stores, &["--all"]).await;
    for key in keys(1).iter().chain(&keys(2)) {
        assert!(object(&stores, key).exists(), "{}", key.base());
    }
}

#[tokio::test]
async fn a_long_run_says_how_far_it_is() {
    let stores = stores(1..=3).await;
    // A run that waits for a lock is a long one.
    let (client, connection) = tokio_postgres::connect(&stores.database, tokio_postgres::NoTls)
        .await
        .expect("PostgreSQL answers");
    tokio::spawn(connection);
    client
        .batch_execute("BEGIN; LOCK TABLE posthog_featureflag IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("locked");
    let mut command = connected(
        &stores,
        &[
            "warm",
            "--team",
            "1",
            "--team",
            "2",
            "--team",
            "3",
            "--concurrency",
            "1",
        ],
    );
    command.env("NON_PERSONS_READER_STATEMENT_TIMEOUT_MS", "60000");
    let running = tokio::spawn(run(command));
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'posthog_featureflag'::regclass";
    until("the run's wait", async || {
        let count: i64 = client.query_one(waiting, &[]).await.expect("it answers").get(0);
        (count > 0).then_some(())
    })
    .await;
    // The interval at which it speaks is what is tested.
    tokio::time::sleep(Duration::from_millis(5_200)).await;
    client.batch_execute("COMMIT").await.expect("unlocked");
    let output = running.await.expect("no panic");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("1 of 3 teams, 0 failed\n"),
        "{}",
        text(&output.stderr)
    );
}
