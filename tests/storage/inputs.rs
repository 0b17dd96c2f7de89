//! Identity of a snapshot: which changes compile a project anew, and which do not (`decisions.md` 6).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use feature_flags::hypercache::value::{Compression, encode};
use feature_flags::hypercache::warm::{WarmOptions, WarmTeams};
use feature_flags::hypercache::{EntryKey, EntryWrite};
use feature_flags::snapshot::{LookupError, ProjectSnapshot, SnapshotMap, SnapshotSettings};
use feature_flags::store::connected::Connected;
use serde_json::{Value, json};

use crate::stores::{Layout, Stores, until};
use crate::suite::{TEAM, TOKEN, project};

/// A map that looks for changes only when it is told to, or when an input is due.
fn map(connected: &Connected) -> Arc<SnapshotMap> {
    let settings = SnapshotSettings {
        soft_ttl: Duration::from_secs(3_600),
        hard_ttl: Duration::from_secs(7_200),
        ..SnapshotSettings::default()
    };
    Arc::new(SnapshotMap::new(connected.projects(), settings))
}

async fn snapshot(map: &Arc<SnapshotMap>) -> Arc<ProjectSnapshot> {
    map.get_or_load(TOKEN).await.expect("the team exists")
}

async fn reloaded(map: &Arc<SnapshotMap>) -> Arc<ProjectSnapshot> {
    map.reload(TOKEN).await.expect("the stores answer");
    snapshot(map).await
}

/// Waits for another snapshot than `old`, asking as requests do.
async fn next(map: &Arc<SnapshotMap>, old: &Arc<ProjectSnapshot>) -> Arc<ProjectSnapshot> {
    until("another snapshot", async || {
        let now = snapshot(map).await;
        (!Arc::ptr_eq(&now, old)).then_some(now)
    })
    .await
}

/// A flags entry of an older writer: without cohorts.
async fn without_cohorts(stores: &Stores, connected: &Connected, team: i32) {
    let warmer = connected.warmer();
    let key = EntryKey::Flags(team);
    let object = warmer
        .objects
        .get(&key)
        .await
        .expect("S3 answers")
        .expect("warmed");
    let mut entry: Value = serde_json::from_slice(&object).expect("JSON");
    entry.as_object_mut().expect("an object").remove("cohorts");
    let write = EntryWrite {
        payload: Bytes::from(encode(&entry.to_string(), Compression::Zstd)),
        etag: None,
        ttl: Duration::from_secs(600),
        tracked: false,
    };
    warmer.cache.put(&key, write).await.expect("Redis takes it");
    stores.replicate().await;
}

#[tokio::test]
async fn what_has_not_changed_is_not_compiled_again() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = stores.open().await;
    stores.import(&connected, &project()).await;
    let map = map(&connected);
    let first = snapshot(&map).await;
    assert!(Arc::ptr_eq(&first, &reloaded(&map).await));
    // Every entry is written again, with the same bytes.
    let options = WarmOptions {
        force: true,
        ..WarmOptions::default()
    };
    let run = connected
        .warmer()
        .run(WarmTeams::Ids(vec![TEAM]), options, &mut |_, _, _| ())
        .await;
    assert_eq!(run.expect("teams").written, 4);
    stores.replicate().await;
    assert!(Arc::ptr_eq(&first, &reloaded(&map).await));
}

#[tokio::test]
async fn each_entry_alone_compiles_anew() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = stores.open().await;
    let mut document = project();
    stores.import(&connected, &document).await;
    let map = map(&connected);
    let mut old = snapshot(&map).await;
    let changes: [fn(&mut Value); 3] = [
        |document| document["team"]["timezone"] = json!("UTC"),
        |document| document["config"] = json!({ "other": true }),
        |document| document["flags"][0]["version"] = json!(4),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        change(&mut document);
        stores.import(&connected, &document).await;
        let new = reloaded(&map).await;
        assert!(!Arc::ptr_eq(&old, &new), "change {at}");
        let differ = [
            old.tags.team != new.tags.team,
            old.tags.config != new.tags.config,
            old.tags.flags != new.tags.flags,
        ];
        let expected: Vec<bool> = (0..3).map(|tag| tag == at).collect();
        assert_eq!(differ[..], expected, "change {at}");
        assert_eq!(
            (old.tags.cohorts, old.tags.group_types),
            (new.tags.cohorts, new.tags.group_types)
        );
        old = new;
    }
    assert_eq!(old.team.timezone, "UTC");
}

#[tokio::test]
async fn cohorts_of_entries_without_them_come_from_rows_and_are_read_again() {
    let stores = Stores::start(Layout::Shared).await;
    let mut settings = stores.settings();
    settings.tiers.cohort_ttl = Duration::from_secs(2);
    let connected = stores.open_with(settings).await;
    stores.import(&connected, &project()).await;
    without_cohorts(&stores, &connected, TEAM).await;
    let map = map(&connected);
    let first = snapshot(&map).await;
    assert!(first.inputs.cohorts_apart && first.tags.cohorts != 0);
    let source = connected.projects();
    assert_eq!(source.inputs().cohort_stats().entries, 1);
    assert!(source.inputs().cohort_stats().weight > 0);

    let moved =
        r#"UPDATE posthog_cohort SET filters = replace(filters::text, 'pro', 'free')::jsonb WHERE id = 73"#;
    stores.sql(moved).await;
    assert!(
        Arc::ptr_eq(&first, &reloaded(&map).await),
        "they are kept for a while"
    );
    assert!(source.inputs().cohort_stats().hits >= 1);
    // Nothing is announced and no age limit is reached: that they are due is enough.
    let second = next(&map, &first).await;
    assert_ne!(first.tags.cohorts, second.tags.cohorts);
    assert_eq!(
        (first.tags.flags, first.tags.team, first.tags.config),
        (second.tags.flags, second.tags.team, second.tags.config)
    );
}

#[tokio::test]
async fn cohorts_in_memory_are_bounded() {
    let stores = Stores::start(Layout::Shared).await;
    let mut settings = stores.settings();
    settings.tiers.cohort_bytes_max = 1_500;
    let connected = stores.open_with(settings).await;
    for team in 1..=5 {
        let document = json!({
            "team": { "id": team, "api_token": format!("phc_{team}") },
            "cohorts": [{ "id": 100 + team, "name": "dynamic", "filters": { "properties": {
                "type": "AND", "values": [{ "type": "AND", "values": [
                    { "key": "plan", "type": "person", "value": "x".repeat(500) }
                ]}]
            }}}],
            "flags": [{ "id": 100 + team, "key": "one", "active": true, "filters": { "groups": [{ "properties": [
                { "key": "id", "type": "cohort", "value": 100 + team, "operator": "in" }
            ]}]}}]
        });
        stores.import(&connected, &document).await;
        without_cohorts(&stores, &connected, team).await;
    }
    let (map, source) = (map(&connected), connected.projects());
    for team in 1..=5 {
        let snapshot = map.get_or_load(&format!("phc_{team}")).await.expect("a team");
        assert_ne!(snapshot.tags.cohorts, 0, "it has its cohorts, kept or not");
        let stats = source.inputs().cohort_stats();
        assert!(stats.weight <= 1_500 && stats.entries >= 1, "{stats:?}");
    }
    assert!(source.inputs().cohort_stats().entries < 5);
}

#[tokio::test]
async fn group_types_come_from_rows_and_are_read_again() {
    let stores = Stores::start(Layout::PersonsApart).await;
    let mut settings = stores.settings();
    settings.tiers.group_types_ttl = Duration::from_secs(2);
    let connected = stores.open_with(settings).await;
    stores.import(&connected, &project()).await;
    let map = map(&connected);
    let first = snapshot(&map).await;
    assert!(first.inputs.group_types && first.tags.group_types != 0);
    stores
        .persons_sql("UPDATE posthog_grouptypemapping SET group_type = 'company' WHERE group_type_index = 0")
        .await;
    assert!(
        Arc::ptr_eq(&first, &reloaded(&map).await),
        "they are kept for a while"
    );
    let second = next(&map, &first).await;
    assert_ne!(first.tags.group_types, second.tags.group_types);
    assert_eq!(first.tags.flags, second.tags.flags);
}

#[tokio::test]
async fn a_rotated_token_is_unknown_and_the_new_one_is_served() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = stores.open().await;
    // The uuid is what says that a document with another token means the same team.
    let mut document = project();
    document["team"]["uuid"] = json!("0191aaaa-0000-7000-8000-000000000077");
    stores.import(&connected, &document).await;
    let map = map(&connected);
    let following = tokio::spawn(Arc::clone(&map).follow_changes(Duration::from_secs(1)));
    snapshot(&map).await;
    document["team"]["api_token"] = json!("phc_rotated");
    stores.import(&connected, &document).await;
    until("the old token's end", async || {
        let old = map.get_or_load(TOKEN).await;
        matches!(old, Err(LookupError::UnknownToken)).then_some(())
    })
    .await;
    assert_eq!(
        map.get_or_load("phc_rotated")
            .await
            .expect("the new token")
            .team
            .id,
        TEAM
    );
    let objects = connected.warmer().objects;
    for key in [EntryKey::Team(TOKEN.into()), EntryKey::Config(TOKEN.into())] {
        assert_eq!(objects.get(&key).await, Ok(None), "{}", key.base());
    }
    following.abort();
}
