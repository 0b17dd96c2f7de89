//! Runs over the embedded database and memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use feature_flags::hypercache::build::flags_payload;
use feature_flags::hypercache::parse::{parse_flags, parse_team};
use feature_flags::hypercache::reader::{Content, HyperCacheReader, ReaderLimits};
use feature_flags::hypercache::value::{self, Compression};
use feature_flags::hypercache::warm::{WarmOptions, WarmSummary, WarmTeams, Warmer};
use feature_flags::hypercache::{
    BoxFuture, DefinitionDatabase, EntryKey, EntryWrite, MemoryCache, NoObjects, ObjectStore, ProjectRows,
    TeamSelection, TierError,
};
use feature_flags::store::embedded::{EmbeddedStore, SAMPLE_PROJECT};

fn warmer() -> Warmer {
    let store = EmbeddedStore::temporary().unwrap();
    store.import(SAMPLE_PROJECT.as_bytes()).unwrap();
    Warmer {
        database: Arc::new(store),
        cache: Arc::new(MemoryCache::new(1 << 20)),
        objects: Arc::new(NoObjects),
        config: Arc::default(),
    }
}

async fn run(warmer: &Warmer, options: WarmOptions) -> WarmSummary {
    let all = WarmTeams::Selection(TeamSelection::All);
    warmer.run(all, options, &mut |_, _, _| {}).await.unwrap()
}

async fn rows(warmer: &Warmer) -> ProjectRows {
    let ids = warmer.database.team_ids(TeamSelection::WithFlags).await.unwrap();
    warmer.database.project_rows(ids[0]).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_run_writes_what_the_reader_reads_and_a_second_one_nothing() {
    let warmer = warmer();
    let dry = run(
        &warmer,
        WarmOptions {
            dry_run: true,
            ..WarmOptions::default()
        },
    )
    .await;
    assert_eq!((dry.teams, dry.written, dry.failed), (1, 4, 0), "{dry:?}");
    let first = run(&warmer, WarmOptions::default()).await;
    assert_eq!((first.written, first.unchanged), (4, 0), "{first:?}");
    let second = run(&warmer, WarmOptions::default()).await;
    assert_eq!(
        (second.written, second.unchanged + second.withheld, second.failed),
        (0, 4, 0),
        "{second:?}"
    );
    let forced = run(
        &warmer,
        WarmOptions {
            force: true,
            ..WarmOptions::default()
        },
    )
    .await;
    assert!(forced.written >= 3);

    let rows = rows(&warmer).await;
    let reader = HyperCacheReader::new(
        warmer.cache.clone(),
        warmer.objects.clone(),
        ReaderLimits::default(),
    );
    let flags = reader.read(&EntryKey::Flags(rows.team.id), None).await.unwrap();
    let Content::Text(text) = flags.content else {
        panic!("a text was written");
    };
    assert_eq!(text, flags_payload(&rows));
    let parsed = parse_flags(&text).unwrap();
    assert!(parsed.malformed_flags.is_empty() && !parsed.flags.is_empty());
    let token = rows.team.api_token.as_str();
    let team = reader.read(&EntryKey::Team(token.into()), None).await.unwrap();
    let Content::Text(team) = team.content else {
        panic!("a text was written");
    };
    assert_eq!(parse_team(&team, token).unwrap().id, rows.team.id);
}

#[tokio::test]
async fn ids_without_a_team_get_the_sentinel() {
    let warmer = warmer();
    let mut heard = Vec::new();
    let teams = WarmTeams::Ids(vec![999_999]);
    let mut progress = |done, total, failed| heard.push((done, total, failed));
    let summary = warmer
        .run(teams, WarmOptions::default(), &mut progress)
        .await
        .unwrap();
    assert_eq!((summary.missing, summary.failed), (2, 0));
    assert_eq!(heard, [(1, 1, 0)]);
    let reader = HyperCacheReader::new(
        warmer.cache.clone(),
        warmer.objects.clone(),
        ReaderLimits::default(),
    );
    let hit = reader.read(&EntryKey::Flags(999_999), None).await.unwrap();
    assert_eq!(hit.content, Content::Missing);
}

#[tokio::test]
async fn an_emptied_mapping_does_not_replace_a_full_one() {
    let store = EmbeddedStore::temporary().unwrap();
    let document =
        r#"{"team": {"api_token": "phc_guard"}, "flags": [{"key": "a", "filters": {"groups": []}}]}"#;
    store.import(document.as_bytes()).unwrap();
    let warmer = Warmer {
        database: Arc::new(store),
        ..warmer()
    };
    let rows = rows(&warmer).await;
    let key = EntryKey::Definitions(rows.team.id);
    let previous = r#"{"group_type_mapping": {"0": "organization"}}"#;
    let write = EntryWrite {
        payload: value::encode(previous, Compression::Zstd).into(),
        etag: None,
        ttl: Duration::from_secs(60),
        tracked: false,
    };
    warmer.cache.put(&key, write.clone()).await.unwrap();
    let summary = warmer.team(rows.team.id, WarmOptions::default()).await;
    assert_eq!(
        (summary.withheld, summary.written, summary.failed),
        (1, 3, 0),
        "{summary:?}"
    );
    assert_eq!(warmer.cache.get(&key).await, Ok(Some(write.payload)));
}

/// A second tier that refuses every write.
struct Refusing;

impl ObjectStore for Refusing {
    fn get<'a>(&'a self, _: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    fn put<'a>(&'a self, _: &'a EntryKey, _: Bytes) -> BoxFuture<'a, Result<(), TierError>> {
        Box::pin(std::future::ready(Err(TierError::Denied("no".to_owned()))))
    }
    fn delete<'a>(&'a self, _: &'a EntryKey) -> BoxFuture<'a, Result<(), TierError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test]
async fn failures_are_collected_by_entry() {
    let warmer = Warmer {
        objects: Arc::new(Refusing),
        ..warmer()
    };
    let summary = run(&warmer, WarmOptions::default()).await;
    assert_eq!(
        (summary.teams, summary.written, summary.failed),
        (1, 0, 4),
        "{summary:?}"
    );
    assert!(
        summary
            .failures
            .iter()
            .all(|failure| failure.entry.is_some() && failure.team_id.is_some())
    );
    // What only the first tier got is not taken for done.
    let healed = Warmer {
        objects: Arc::new(NoObjects),
        ..warmer
    };
    let summary = run(&healed, WarmOptions::default()).await;
    assert_eq!((summary.written, summary.failed), (4, 0), "{summary:?}");
}

#[tokio::test]
async fn the_embedded_store_gives_settings_as_json() {
    let store = EmbeddedStore::temporary().unwrap();
    let document = r#"{"team": {"api_token": "phc_rows", "session_recording_sample_rate": "0.50", "surveys_opt_in": true,
        "session_recording_trigger_match_type_config": "any", "session_recording_minimum_duration_milliseconds": 1,
        "recording_domains": ["https://a.example"]}, "flags": []}"#;
    store.import(document.as_bytes()).unwrap();
    let team = store.team_by_token("phc_rows").await.unwrap().unwrap();
    let text = feature_flags::hypercache::build::team_payload(&team);
    for member in [
        r#""session_recording_sample_rate": "0.50""#,
        r#""surveys_opt_in": true"#,
        r#""session_recording_trigger_match_type_config": "any""#,
        r#""session_recording_minimum_duration_milliseconds": 1,"#,
        r#""recording_domains": ["https://a.example"]"#,
        r#""cookieless_server_hash_mode": 0"#,
    ] {
        assert!(text.contains(member), "{member} in {text}");
    }
    assert_eq!(store.team_by_token("phc_none").await, Ok(None));
}
