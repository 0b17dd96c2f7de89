//! Continuity rows.

use std::sync::Arc;

use feature_flags::context::{
    ContinuityQuery, ContinuityReadFrom, GatherError, JitteredPause, PersonSource, Retries, gather_continuity,
};
use feature_flags::resilience::RetryBudget;
use feature_flags::store::postgres::PostgresPersons;

use crate::facts::persons;
use crate::server::{PEOPLE, client, database};

const KEYS: [&str; 2] = ["steady", "steady-too"];

async fn read(persons: &PostgresPersons, distinct_ids: &[&str]) -> Vec<(String, String)> {
    let read = persons.read_continuity(7, distinct_ids, ContinuityReadFrom::Writer);
    let mut rows = read.await.expect("the store answers");
    rows.sort();
    rows
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter()
        .map(|(key, hash)| ((*key).to_owned(), (*hash).to_owned()))
        .collect()
}

async fn needed(persons: &PostgresPersons, distinct_ids: &[&str]) -> bool {
    let needed = persons.continuity_write_needed(7, distinct_ids, &KEYS).await;
    needed.expect("the store answers")
}

#[tokio::test]
async fn rows_are_written_once_for_persons_that_exist() {
    let database = database().await;
    database.run(PEOPLE).await;
    let persons = persons(&database);
    assert!(!needed(&persons, &["nobody", "nul\0"]).await);
    assert!(needed(&persons, &["known", "nobody"]).await);
    persons
        .write_continuity(7, &["known", "nobody"], &KEYS, "nobody")
        .await
        .expect("written");
    let expected = pairs(&[("steady", "nobody"), ("steady-too", "nobody")]);
    assert_eq!(read(&persons, &["known-phone"]).await, expected);
    assert!(
        !needed(&persons, &["known", "anon"]).await,
        "the union has every key"
    );
    assert!(needed(&persons, &["anon"]).await);
    persons
        .write_continuity(7, &["known", "anon"], &KEYS, "anon")
        .await
        .expect("written");
    assert_eq!(
        read(&persons, &["known"]).await,
        expected,
        "the first writer wins"
    );
    assert_eq!(
        read(&persons, &["anon", "known"]).await,
        pairs(&[("steady", "anon"), ("steady-too", "anon")])
    );
    assert_eq!(
        read(&persons, &["known", "anon"]).await,
        expected,
        "the earlier distinct id wins"
    );
    persons
        .write_continuity(7, &["nobody"], &KEYS, "x")
        .await
        .expect("nothing to do");
    assert_eq!(
        database
            .texts("SELECT count(*) FROM posthog_featureflaghashkeyoverride")
            .await,
        ["4"]
    );
}

#[tokio::test]
async fn a_hash_key_that_is_too_long_fails_and_leaves_the_connection_clean() {
    let database = database().await;
    database.run(PEOPLE).await;
    let persons = persons(&database);
    let failed = persons
        .write_continuity(7, &["known"], &KEYS, &"é".repeat(401))
        .await;
    assert!(matches!(failed, Err(GatherError::Database(_))), "{failed:?}");
    persons
        .write_continuity(7, &["known"], &KEYS, &"é".repeat(400))
        .await
        .expect("written");
    assert_eq!(read(&persons, &["known"]).await.len(), 2);
    let idle =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
    assert_eq!(database.texts(idle).await, ["0"]);
}

#[tokio::test]
async fn a_statement_that_cannot_be_prepared_ends_its_transaction() {
    let database = database().await;
    database.run(PEOPLE).await;
    let persons = persons(&database);
    let rename = |from, to| format!("ALTER TABLE posthog_featureflaghashkeyoverride RENAME {from} TO {to}");
    database.run(&rename("hash_key", "other")).await;
    let failed = persons.write_continuity(7, &["known"], &KEYS, "anon").await;
    assert!(matches!(failed, Err(GatherError::Database(_))), "{failed:?}");
    // A transaction that is still open would hold this up.
    database
        .run(&format!(
            "SET lock_timeout = '2s'; {}",
            rename("other", "hash_key")
        ))
        .await;
    persons
        .write_continuity(7, &["known"], &KEYS, "anon")
        .await
        .expect("written");
    assert_eq!(read(&persons, &["known"]).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_record_one_hash_key() {
    let database = database().await;
    database.run(PEOPLE).await;
    let stores = [Arc::new(persons(&database)), Arc::new(persons(&database))];
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..16 {
        let store = Arc::clone(&stores[index % 2]);
        tasks.spawn(async move {
            let hash_key = format!("anon-{index}");
            store.write_continuity(7, &["known"], &KEYS, &hash_key).await
        });
    }
    while let Some(written) = tasks.join_next().await {
        written.expect("no panic").expect("the write succeeds");
    }
    let rows = read(&stores[0], &["known"]).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].1, rows[1].1, "one transaction wrote both");
}

/// Waits until a statement of the database waits for a lock.
async fn blocked(admin: &tokio_postgres::Client) {
    let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while !admin
        .query_one(waits, &[])
        .await
        .expect("the server answers")
        .get::<_, bool>(0)
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_deleted_between_check_and_insert_is_read_again() {
    let database = database().await;
    database.run(PEOPLE).await;
    let persons = Arc::new(persons(&database));
    let deleter = client(&database.url).await;
    let delete = "BEGIN; SET CONSTRAINTS ALL IMMEDIATE;
         DELETE FROM posthog_persondistinctid WHERE person_id = 1; DELETE FROM posthog_person WHERE id = 1";
    deleter
        .batch_execute(delete)
        .await
        .expect("deleted, not committed");
    let write = |store: Arc<PostgresPersons>| async move {
        store.write_continuity(7, &["known"], &KEYS, "anon").await
    };
    let once = tokio::spawn(write(Arc::clone(&persons)));
    blocked(&database.admin).await;
    let store = Arc::clone(&persons);
    let whole = tokio::spawn(async move {
        let retries = Retries {
            pause: &JitteredPause,
            budget: &RetryBudget::default(),
        };
        let query = ContinuityQuery {
            team_id: 7,
            distinct_id: "known",
            anon_distinct_id: Some("device"),
            flag_keys: &KEYS,
            writes_allowed: true,
        };
        gather_continuity(&*store, query, retries).await
    });
    let both = "SELECT count(*) >= 2 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while !database
        .admin
        .query_one(both, &[])
        .await
        .expect("it answers")
        .get::<_, bool>(0)
    {
        tokio::task::yield_now().await;
    }
    deleter.batch_execute("COMMIT").await.expect("committed");
    let failed = once.await.expect("no panic").expect_err("the person is gone");
    assert!(
        matches!(failed, GatherError::Transient(_)) && failed.is_retryable(),
        "{failed:?}"
    );
    let rows = whole
        .await
        .expect("no panic")
        .expect("the retry reads that nobody is there");
    assert!(rows.is_empty());
    assert_eq!(
        database
            .texts("SELECT count(*) FROM posthog_featureflaghashkeyoverride")
            .await,
        ["0"]
    );
}
