//! The two steps, over real tiers in memory and a second tier that holds what the test puts there.

use std::sync::Mutex;

use super::*;
use crate::hypercache::memory::MemoryCache;
use crate::hypercache::value::MISSING;
use crate::hypercache::{BoxFuture, EntryWrite, etag};

/// One object for every key; `None`: never answers.
struct OneObject(Mutex<Option<Option<Bytes>>>);

impl ObjectStore for OneObject {
    fn get<'a>(&'a self, _: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        let object = self.0.lock().unwrap().clone();
        Box::pin(async move {
            match object {
                Some(object) => Ok(object),
                None => std::future::pending().await,
            }
        })
    }
    fn put<'a>(&'a self, _: &'a EntryKey, text: Bytes) -> BoxFuture<'a, Result<(), TierError>> {
        *self.0.lock().unwrap() = Some(Some(text));
        Box::pin(std::future::ready(Ok(())))
    }
    fn delete<'a>(&'a self, _: &'a EntryKey) -> BoxFuture<'a, Result<(), TierError>> {
        *self.0.lock().unwrap() = Some(None);
        Box::pin(std::future::ready(Ok(())))
    }
}

fn tiers(object: Option<&'static str>) -> (Arc<MemoryCache>, Arc<OneObject>) {
    let object = object.map(|text| Bytes::from_static(text.as_bytes()));
    (
        Arc::new(MemoryCache::new(1 << 20)),
        Arc::new(OneObject(Mutex::new(Some(object)))),
    )
}

fn reader(tiers: &(Arc<MemoryCache>, Arc<OneObject>), limits: ReaderLimits) -> HyperCacheReader {
    HyperCacheReader::new(tiers.0.clone(), tiers.1.clone(), limits)
}

async fn store(cache: &MemoryCache, key: &EntryKey, payload: Vec<u8>) {
    let write = EntryWrite {
        payload: payload.into(),
        etag: None,
        ttl: Duration::from_secs(60),
        tracked: false,
    };
    cache.put(key, write).await.unwrap();
}

const KEY: EntryKey = EntryKey::Flags(7);

#[tokio::test]
async fn the_first_tier_wins_and_known_bytes_are_unchanged() {
    let tiers = tiers(Some("{}"));
    let reader = reader(&tiers, ReaderLimits::default());
    store(&tiers.0, &KEY, value::encode("[1]", Compression::Zstd)).await;
    let hit = reader.read(&KEY, None).await.unwrap();
    assert_eq!(
        (hit.content, hit.source),
        (Content::Text("[1]".into()), Source::Redis)
    );
    let again = reader.read(&KEY, Some(hit.tag)).await.unwrap();
    assert_eq!(again.content, Content::Unchanged);
    store(&tiers.0, &KEY, value::encode(MISSING, Compression::Zstd)).await;
    let hit = reader.read(&KEY, Some(hit.tag)).await.unwrap();
    assert_eq!((hit.content, hit.source), (Content::Missing, Source::Redis));
}

#[tokio::test]
async fn a_corrupt_value_tries_the_second_tier_and_is_not_repaired() {
    let tiers = tiers(Some("{}"));
    let reader = reader(&tiers, ReaderLimits::default());
    store(&tiers.0, &KEY, b"broken".to_vec()).await;
    let hit = reader.read(&KEY, None).await.unwrap();
    assert_eq!(
        (hit.content, hit.source),
        (Content::Text("{}".into()), Source::S3)
    );
    assert!(matches!(hit.redis, Some(RedisFailure::Corrupt(_))));
    assert_eq!(reader.repairs_room(), 16);
}

#[tokio::test]
async fn definite_absence_is_repaired_except_for_teams() {
    let tiers = tiers(Some("{}"));
    let reader = reader(&tiers, ReaderLimits::default());
    reader.read(&KEY, None).await.unwrap();
    reader.repairs_done().await;
    let hit = reader.read(&KEY, None).await.unwrap();
    assert_eq!(hit.source, Source::Redis);
    assert_eq!(reader.read_etag(&KEY).await, Some(etag("{}")));

    let team = EntryKey::Team("phc_a".into());
    reader.read(&team, None).await.unwrap();
    reader.repairs_done().await;
    assert_eq!(reader.read(&team, None).await.unwrap().source, Source::S3);

    let off = ReaderLimits {
        skip_writes: true,
        ..ReaderLimits::default()
    };
    let quiet = self::reader(&tiers, off);
    let other = EntryKey::Flags(8);
    quiet.read(&other, None).await.unwrap();
    quiet.repairs_done().await;
    assert_eq!(quiet.read(&other, None).await.unwrap().source, Source::S3);
}

#[tokio::test]
async fn misses_say_why() {
    let tiers = tiers(None);
    let limits = ReaderLimits {
        objects: Duration::from_millis(20),
        ..ReaderLimits::default()
    };
    let reader = reader(&tiers, limits);
    assert!(reader.read(&KEY, None).await.unwrap_err().is_definite());
    *tiers.1.0.lock().unwrap() = None;
    let miss = reader.read(&KEY, None).await.unwrap_err();
    assert_eq!(miss.objects, ObjectFailure::Tier(TierError::Timeout));
    assert!(!miss.is_definite());
}

impl HyperCacheReader {
    fn repairs_room(&self) -> usize {
        self.repairs.room()
    }

    async fn repairs_done(&self) {
        self.repairs.idle(self.limits.repairs_max).await;
    }
}
