//! The suite over the embedded store, and what only a file can do.

use std::sync::Arc;
use std::time::Duration;

use feature_flags::context::PersonSource;
use feature_flags::quota::{ApplyError, Batch, Bucket, Increment, Library, RequestType, UsageKey, UsageSink};
use feature_flags::snapshot::{BoxFuture, ProjectSource, TieredSettings};
use feature_flags::store::embedded::{EmbeddedStore, OpenError};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::load::{changed, load};
use crate::suite::{self, Subject, TOKEN};

impl Subject for Arc<EmbeddedStore> {
    fn projects(&self) -> Arc<dyn ProjectSource> {
        self.project_source(&TieredSettings::default())
    }

    fn persons(&self) -> &dyn PersonSource {
        &**self
    }

    fn seed<'a>(&'a self, document: &'a Value) -> BoxFuture<'a, ()> {
        self.import(document.to_string().as_bytes())
            .expect("the document is sound");
        Box::pin(std::future::ready(()))
    }
}

macro_rules! suite {
    ($($rule:ident,)*) => {
        $(
            #[tokio::test]
            async fn $rule() {
                suite::$rule(&Arc::new(EmbeddedStore::temporary().expect("store"))).await;
            }
        )*
    };
}

suite! {
    an_unknown_token_is_no_project,
    a_project_is_loaded_whole,
    deleted_and_encrypted_flags_are_not_loaded,
    deleted_cohorts_are_not_loaded,
    a_person_is_found_by_each_distinct_id,
    unknown_persons_and_groups_are_no_error,
    groups_are_matched_as_pairs,
    continuity_rows_are_written_for_active_flags_once,
    nothing_is_written_for_unknown_persons,
    a_row_of_either_person_counts_as_recorded,
    the_earlier_distinct_id_wins,
    a_hash_key_that_is_too_long_fails,
    the_whole_protocol_holds,
    only_definitions_are_news,
}

/// A second connection to the store's file, as another process would have.
fn other_program(store: &EmbeddedStore) -> Connection {
    Connection::open(store.path()).expect("the file opens")
}

#[tokio::test]
async fn a_malformed_flag_costs_only_itself() {
    let store = Arc::new(EmbeddedStore::temporary().expect("store"));
    store.seed(&suite::project()).await;
    let broken = r#"{"groups": [{"properties": [{"key": "a", "type": "galaxy"}]}]}"#;
    let sql = "UPDATE posthog_featureflag SET filters = ?1 WHERE key = 'steady-too'";
    other_program(&store).execute(sql, [broken]).expect("update");
    let project = load(&store, TOKEN).await.expect("the team exists");
    assert_eq!(project.flags.len(), 4);
    assert_eq!(project.malformed_flags.len(), 1);
    let malformed = &project.malformed_flags[0];
    assert_eq!((malformed.id, malformed.key.as_str()), (702, "steady-too"));
    assert!(malformed.error.contains("galaxy"), "{}", malformed.error);
}

#[tokio::test]
async fn a_malformed_cohort_stays_and_is_no_object() {
    let store = Arc::new(EmbeddedStore::temporary().expect("store"));
    store.seed(&suite::project()).await;
    let sql = "UPDATE posthog_cohort SET filters = '{' WHERE id = 73";
    other_program(&store).execute(sql, []).expect("update");
    let project = load(&store, TOKEN).await.expect("the team exists");
    let cohort = project
        .cohorts
        .iter()
        .find(|cohort| cohort.id == 73)
        .expect("the cohort is loaded");
    assert_eq!(cohort.filters, Some(json!("{")));
}

#[tokio::test]
async fn properties_that_are_no_object_count_as_empty() {
    let store = Arc::new(EmbeddedStore::temporary().expect("store"));
    store.seed(&suite::project()).await;
    other_program(&store)
        .execute("UPDATE posthog_person SET properties = '[1]'", [])
        .expect("update");
    let query = feature_flags::context::FactsQuery {
        team_id: 77,
        distinct_id: "known".to_owned(),
        static_cohort_ids: Vec::new(),
        groups: Vec::new(),
    };
    let person = store
        .facts(&query)
        .await
        .expect("the store answers")
        .person
        .expect("the person exists");
    assert!(person.properties.is_empty());
}

#[tokio::test]
async fn an_import_by_another_process_is_heard_of() {
    let server = Arc::new(EmbeddedStore::temporary().expect("store"));
    let path = server.path().to_owned();
    // The future is polled before the import, and made anew after a first one was dropped.
    drop(tokio::time::timeout(Duration::from_millis(1), changed(&*server.projects())).await);
    let waiting = tokio::spawn({
        let server = Arc::clone(&server);
        async move { changed(&*server.projects()).await }
    });
    let importer = Arc::new(EmbeddedStore::open(path).expect("the same file opens twice"));
    importer.seed(&suite::project()).await;
    let heard = tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .expect("heard of in time");
    assert_eq!(heard.expect("no panic"), [TOKEN]);
}

#[tokio::test]
async fn what_was_imported_before_opening_is_no_news() {
    let first = Arc::new(EmbeddedStore::temporary().expect("store"));
    first.seed(&suite::project()).await;
    let second = Arc::new(EmbeddedStore::open(first.path()).expect("opens"));
    let mut moved = suite::project();
    moved["team"]["timezone"] = json!("UTC");
    second
        .seed(&json!({ "team": { "api_token": "phc_second" } }))
        .await;
    assert_eq!(changed(&*second.projects()).await, ["phc_second"]);
    second.seed(&moved).await;
    assert_eq!(changed(&*second.projects()).await, [TOKEN]);
}

#[tokio::test]
async fn a_store_outlives_the_program() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("store.sqlite");
    Arc::new(EmbeddedStore::open(&path).expect("made"))
        .seed(&suite::project())
        .await;
    let again = Arc::new(EmbeddedStore::open(&path).expect("opened"));
    assert!(load(&again, TOKEN).await.is_some());
}

#[test]
fn a_temporary_store_leaves_nothing_behind() {
    let store = Arc::new(EmbeddedStore::temporary().expect("store"));
    let directory = store.path().parent().expect("a directory").to_owned();
    assert!(directory.exists());
    drop(store);
    assert!(!directory.exists());
}

fn refusal(path: &std::path::Path) -> OpenError {
    match EmbeddedStore::open(path) {
        Ok(_) => panic!("{} was accepted", path.display()),
        Err(error) => error,
    }
}

#[test]
fn files_that_are_not_ours_are_refused_and_kept() {
    let directory = tempfile::tempdir().expect("directory");
    let text = directory.path().join("notes.txt");
    let content = "not a database, and long enough to be mistaken for the header of one. ".repeat(20);
    std::fs::write(&text, &content).expect("write");
    assert!(matches!(refusal(&text), OpenError::NotADatabase(_)));
    assert_eq!(std::fs::read_to_string(&text).expect("read"), content);

    let foreign = directory.path().join("foreign.sqlite");
    Connection::open(&foreign)
        .expect("open")
        .execute_batch("CREATE TABLE theirs (id)")
        .expect("table");
    let before = std::fs::read(&foreign).expect("read");
    assert!(matches!(refusal(&foreign), OpenError::Foreign(_)));
    assert_eq!(std::fs::read(&foreign).expect("read"), before);

    let newer = directory.path().join("newer.sqlite");
    drop(EmbeddedStore::open(&newer).expect("made"));
    Connection::open(&newer)
        .expect("open")
        .pragma_update(None, "user_version", 9)
        .expect("version");
    assert!(matches!(refusal(&newer), OpenError::Newer { found: 9, .. }));
    assert!(refusal(&newer).to_string().contains("newer version"));
}

/// A file of the version before usage was counted, made by taking away what was added since.
#[tokio::test]
async fn a_file_of_an_older_version_gets_what_it_lacks() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("older.sqlite");
    let store = Arc::new(EmbeddedStore::open(&path).expect("made"));
    store.seed(&suite::project()).await;
    drop(store);
    Connection::open(&path)
        .expect("open")
        .execute_batch("DROP TABLE embedded_usage; PRAGMA user_version = 1;")
        .expect("older");
    let store = EmbeddedStore::open(&path).expect("brought up to date");
    assert_eq!(store.projects().await.expect("reads").len(), 1);
    let batch = |id: &str, in_doubt| Batch {
        id: id.to_owned(),
        increments: vec![Increment {
            key: UsageKey::new(RequestType::LocalEvaluation, 77, Library::Ruby),
            bucket: Bucket(14_726_880),
            count: 3,
        }],
        in_doubt,
    };
    for id in ["a", "b"] {
        store.apply(&batch(id, false)).await.expect("applied");
    }
    // A write that was given up on may have been done.
    let lost = store.apply(&batch("c", true)).await;
    assert!(matches!(lost, Err(ApplyError::Lost(_))), "{lost:?}");
    drop(store);
    let counts = EmbeddedStore::open(&path)
        .expect("opens")
        .usage_counts()
        .expect("reads");
    let counts: Vec<_> = counts
        .iter()
        .map(|count| (count.key.as_str(), count.field.0, count.count))
        .collect();
    assert_eq!(
        counts,
        [
            ("posthog:local_evaluation_requests:77", 14_726_880, 6),
            (
                "posthog:local_evaluation_requests:sdk:77:posthog-ruby",
                14_726_880,
                6
            ),
        ]
    );
}

#[test]
fn an_absent_directory_is_named() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("absent").join("store.sqlite");
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Directory { .. }));
    assert!(error.to_string().contains("absent"), "{error}");
}

#[tokio::test]
async fn concurrent_writers_record_one_hash_key() {
    let store = Arc::new(EmbeddedStore::temporary().expect("store"));
    let other = Arc::new(EmbeddedStore::open(store.path()).expect("opens"));
    store.seed(&suite::project()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..16 {
        let store = Arc::clone(if index % 2 == 0 { &store } else { &other });
        tasks.spawn(async move {
            let hash_key = format!("anon-{index}");
            store
                .write_continuity(77, &["known"], &suite::CONTINUITY, &hash_key)
                .await
        });
    }
    while let Some(written) = tasks.join_next().await {
        written.expect("no panic").expect("the write succeeds");
    }
    let from = feature_flags::context::ContinuityReadFrom::Writer;
    let rows = store
        .read_continuity(77, &["known"], from)
        .await
        .expect("the store answers");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].1, rows[1].1, "one transaction wrote both");
}
