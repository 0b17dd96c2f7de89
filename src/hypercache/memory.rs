//! The two tiers of the embedded mode: entries in the memory of this process, and no objects.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{BoxFuture, EntryCache, EntryKey, EntryWrite, ObjectStore, StoredEntry, StoredPair, TierError};

/// Bytes that an entry takes besides its values.
const OVERHEAD_BYTES: usize = 256;

/// Entries in memory, bounded in bytes: the ones that expire first make room. Nothing is tracked for expiry, because
/// nothing else looks for it.
pub struct MemoryCache {
    bytes_max: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    bytes: usize,
    by_key: HashMap<EntryKey, Held>,
}

struct Held {
    payload: Bytes,
    etag: Option<Bytes>,
    expires: Instant,
}

impl Held {
    fn bytes(&self) -> usize {
        self.payload.len() + self.etag.as_ref().map_or(0, Bytes::len) + OVERHEAD_BYTES
    }
}

impl Entries {
    fn live(&self, key: &EntryKey) -> Option<&Held> {
        self.by_key.get(key).filter(|held| held.expires > Instant::now())
    }

    fn remove(&mut self, key: &EntryKey) {
        if let Some(held) = self.by_key.remove(key) {
            self.bytes -= held.bytes();
        }
    }

    fn put(&mut self, key: &EntryKey, write: EntryWrite, bytes_max: usize) -> Result<(), TierError> {
        /// A lifetime that no process outlives; longer ones would overflow the clock.
        const YEAR: Duration = Duration::from_secs(31_536_000);
        let held = Held {
            payload: write.payload,
            etag: write.etag,
            expires: Instant::now() + write.ttl.min(YEAR),
        };
        self.remove(key);
        if held.bytes() > bytes_max {
            return Err(TierError::Failed("entry is larger than the cache".to_owned()));
        }
        while self.bytes + held.bytes() > bytes_max {
            let first = self.by_key.iter().min_by_key(|(_, held)| held.expires);
            let Some(first) = first.map(|(key, _)| key.clone()) else {
                break;
            };
            self.remove(&first);
        }
        self.bytes += held.bytes();
        self.by_key.insert(key.clone(), held);
        Ok(())
    }
}

impl MemoryCache {
    /// An empty cache of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            entries: Mutex::default(),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl EntryCache for MemoryCache {
    fn get<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        ready(Ok(self.entries().live(key).map(|held| held.payload.clone())))
    }

    fn get_etag<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        ready(Ok(self.entries().live(key).and_then(|held| held.etag.clone())))
    }

    fn get_both<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<StoredPair, TierError>> {
        let pair = self.entries().live(key).map(|held| StoredPair {
            payload: Some(held.payload.clone()),
            etag: held.etag.clone(),
        });
        ready(Ok(pair.unwrap_or_default()))
    }

    fn inspect<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<StoredEntry>, TierError>> {
        ready(Ok(self.entries().live(key).map(|held| StoredEntry {
            mark: if key.entry().has_etag() {
                held.etag.clone()
            } else {
                Some(held.payload.clone())
            },
            remaining: Some(held.expires.saturating_duration_since(Instant::now())),
        })))
    }

    fn put<'a>(&'a self, key: &'a EntryKey, write: EntryWrite) -> BoxFuture<'a, Result<(), TierError>> {
        ready(self.entries().put(key, write, self.bytes_max))
    }

    fn delete<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<(), TierError>> {
        self.entries().remove(key);
        ready(Ok(()))
    }

    fn repair<'a>(&'a self, key: &'a EntryKey, write: EntryWrite) -> BoxFuture<'a, Result<bool, TierError>> {
        let mut entries = self.entries();
        let done = match entries.live(key) {
            Some(_) => Ok(false),
            None => entries.put(key, write, self.bytes_max).map(|()| true),
        };
        drop(entries);
        ready(done)
    }
}

/// A second tier without objects (`OBJECT_STORAGE_ENABLED` false, embedded mode).
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObjects;

impl ObjectStore for NoObjects {
    fn get<'a>(&'a self, _key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        ready(Ok(None))
    }

    fn put<'a>(&'a self, _key: &'a EntryKey, _text: Bytes) -> BoxFuture<'a, Result<(), TierError>> {
        ready(Ok(()))
    }

    fn delete<'a>(&'a self, _key: &'a EntryKey) -> BoxFuture<'a, Result<(), TierError>> {
        ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(length: usize, seconds: u64) -> EntryWrite {
        EntryWrite {
            payload: vec![b'x'; length].into(),
            etag: None,
            ttl: Duration::from_secs(seconds),
            tracked: false,
        }
    }

    #[tokio::test]
    async fn what_expires_first_makes_room() {
        let cache = MemoryCache::new(3000);
        for (id, seconds) in [(1, 50), (2, 10), (3, 90)] {
            cache
                .put(&EntryKey::Flags(id), write(1000, seconds))
                .await
                .unwrap();
        }
        let mut held = Vec::new();
        for id in 1..=3 {
            held.push(cache.get(&EntryKey::Flags(id)).await.unwrap().is_some());
        }
        assert_eq!(held, [true, false, true]);
        assert!(cache.put(&EntryKey::Flags(4), write(3000, 1)).await.is_err());
        assert!(!cache.repair(&EntryKey::Flags(1), write(1, 1)).await.unwrap());
        assert!(cache.repair(&EntryKey::Flags(2), write(1, 1)).await.unwrap());
        cache.delete(&EntryKey::Flags(1)).await.unwrap();
        assert_eq!(cache.inspect(&EntryKey::Flags(1)).await, Ok(None));
        cache.put(&EntryKey::Flags(5), write(1, 0)).await.unwrap();
        assert_eq!(cache.get(&EntryKey::Flags(5)).await, Ok(None));
    }
}
