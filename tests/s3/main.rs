//! The object store against a real S3 server, and against servers that are not there or say nothing.

#[path = "../support/object_storage.rs"]
mod object_storage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use feature_flags::hypercache::{EntryKey, ObjectStore, TierError};
use feature_flags::resilience::{BreakerState, RetryBudget};
use feature_flags::store::s3::{OBJECT_BYTES_MAX, OPERATION_TIME_MAX, S3Settings, S3Store};
use object_storage::{BUCKET, ObjectStorage, credentials};
use tokio::net::TcpListener;

const KEY: EntryKey = EntryKey::Flags(7);

/// What a limit may be exceeded by on a busy machine (`decisions.md` 20).
const MARGIN: u32 = 3;

fn store_at(endpoint: &str) -> S3Store {
    let settings = S3Settings {
        bucket: BUCKET.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
    };
    S3Store::new(settings, Arc::new(RetryBudget::default()))
}

fn store(storage: &ObjectStorage) -> S3Store {
    store_at(&storage.endpoint).with_credentials(storage.credentials())
}

/// A port that nothing listens on.
async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn objects_are_written_read_and_deleted_by_key() {
    let storage = ObjectStorage::start().await;
    let store = store(&storage);
    store.check().await.unwrap();
    let token = EntryKey::Team("phc_a b/ü".into());
    for key in [&KEY, &token] {
        assert_eq!(store.get(key).await, Ok(None));
        store.put(key, Bytes::from_static(b"{\"a\":1}")).await.unwrap();
        assert_eq!(store.get(key).await, Ok(Some(Bytes::from_static(b"{\"a\":1}"))));
        store.put(key, Bytes::new()).await.unwrap();
        assert_eq!(store.get(key).await, Ok(Some(Bytes::new())));
        store.delete(key).await.unwrap();
        store.delete(key).await.unwrap();
        assert_eq!(store.get(key).await, Ok(None));
    }
}

#[tokio::test]
async fn objects_are_plain_files_named_by_the_key() {
    let storage = ObjectStorage::start().await;
    store(&storage)
        .put(&KEY, Bytes::from_static(b"{}"))
        .await
        .unwrap();
    let file = storage
        .directory
        .path()
        .join(BUCKET)
        .join("cache/teams/7/feature_flags/flags.json");
    assert_eq!(std::fs::read(file).unwrap(), b"{}");
}

#[tokio::test]
async fn wrong_credentials_are_denied_and_do_not_open_the_breaker() {
    let storage = ObjectStorage::start().await;
    let store =
        store_at(&storage.endpoint).with_credentials(credentials(storage.access_key, "another secret"));
    for _ in 0..10 {
        let denied = store.get(&KEY).await.unwrap_err();
        assert!(matches!(denied, TierError::Denied(_)), "{denied:?}");
    }
    assert!(matches!(store.check().await, Err(TierError::Denied(_))));
    assert_eq!(store.breaker_state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_missing_bucket_is_reported_by_the_check() {
    let storage = ObjectStorage::start().await;
    std::fs::remove_dir(storage.directory.path().join(BUCKET)).unwrap();
    let store = store(&storage);
    assert!(store.check().await.is_err());
}

#[tokio::test]
async fn an_object_above_the_bound_is_not_read() {
    let storage = ObjectStorage::start().await;
    let store = store(&storage);
    store.put(&KEY, Bytes::from_static(b"{}")).await.unwrap();
    let file = storage
        .directory
        .path()
        .join(BUCKET)
        .join("cache/teams/7/feature_flags/flags.json");
    let file = std::fs::File::options().write(true).open(file).unwrap();
    // The file has no blocks: nothing of it is ever written.
    file.set_len(OBJECT_BYTES_MAX as u64 + 1).unwrap();
    assert!(matches!(store.get(&KEY).await, Err(TierError::Failed(_))));
    assert_eq!(store.breaker_state(), BreakerState::Closed);
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let store = store_at(&closed_port().await).with_credentials(credentials("a", "b"));
    let error = store.get(&KEY).await.unwrap_err();
    assert!(matches!(error, TierError::Unavailable(_)), "{error:?}");
    assert!(matches!(store.check().await, Err(TierError::Unavailable(_))));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let store = store_at(&endpoint).with_credentials(credentials("a", "b"));
    let started = Instant::now();
    assert_eq!(store.get(&KEY).await, Err(TierError::Timeout));
    assert!(started.elapsed() < OPERATION_TIME_MAX * MARGIN);
    silent.abort();
}

#[tokio::test]
async fn the_breaker_opens_on_an_outage_and_closes_after_it() {
    let mut storage = ObjectStorage::start().await;
    let store = store(&storage);
    store.put(&KEY, Bytes::from_static(b"{}")).await.unwrap();
    storage.stop().await;
    for _ in 0..100 {
        assert!(matches!(store.get(&KEY).await, Err(TierError::Unavailable(_))));
        if store.breaker_state() == BreakerState::Open {
            break;
        }
    }
    assert_eq!(store.breaker_state(), BreakerState::Open);
    storage.restart().await;
    let limit = Instant::now() + Duration::from_secs(5) * MARGIN;
    // The breaker reports by no event: it is asked until it lets a probe through.
    while store.get(&KEY).await != Ok(Some(Bytes::from_static(b"{}"))) {
        assert!(Instant::now() < limit, "still open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.breaker_state(), BreakerState::Closed);
}
