//! Read repair: what only the second tier had is put back into the first (`storage.md` 2.10).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::ReaderLimits;
use super::metrics::RepairMetrics;
use crate::hypercache::json::Json;
use crate::hypercache::value::{self, Compression};
use crate::hypercache::{EntryCache, EntryKey, EntryWrite, etag};

/// A repair is not worth more; it runs beside requests.
const REPAIR_TIMEOUT: Duration = Duration::from_secs(3);

/// Starts repairs that nobody waits for, a few at a time.
pub(super) struct Repairs {
    cache: Arc<dyn EntryCache>,
    ttl: Option<Duration>,
    compression: Compression,
    under_way: Arc<Semaphore>,
}

impl Repairs {
    pub(super) fn new(cache: Arc<dyn EntryCache>, limits: &ReaderLimits) -> Self {
        let off = limits.skip_writes || limits.repair_ttl.is_zero();
        Self {
            cache,
            ttl: (!off).then_some(limits.repair_ttl),
            compression: limits.compression,
            under_way: Arc::new(Semaphore::new(limits.repairs_max.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Repairs in a task of its own, or skips when there is no room. Best effort: a failure has no one to tell.
    pub(super) fn start(&self, key: &EntryKey, object: &Bytes) {
        let Some(ttl) = self.ttl.filter(|_| key.entry().is_repaired()) else {
            return;
        };
        let metrics = RepairMetrics::of(key.entry());
        let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
            metrics.skipped.increment(1);
            return;
        };
        let (cache, compression) = (Arc::clone(&self.cache), self.compression);
        let (key, object) = (key.clone(), object.clone());
        drop(tokio::spawn(async move {
            let _permit = permit;
            // Only JSON goes back: a broken object must not become a broken entry.
            let Ok(text) = std::str::from_utf8(&object) else {
                return;
            };
            if Json::parse(text, text.len()).is_err() {
                return;
            }
            let stored_etag = key.entry().has_etag().then(|| etag(text));
            let write = EntryWrite {
                payload: value::encode(text, compression).into(),
                etag: stored_etag.map(|etag| value::encode(&etag, compression).into()),
                ttl,
                tracked: false,
            };
            match timeout(REPAIR_TIMEOUT, cache.repair(&key, write)).await {
                Ok(Ok(true)) => metrics.success.increment(1),
                Ok(Ok(false)) => metrics.skipped.increment(1),
                Ok(Err(_)) | Err(_) => metrics.error.increment(1),
            }
        }));
    }
}

#[cfg(test)]
impl Repairs {
    pub(super) fn room(&self) -> usize {
        self.under_way.available_permits()
    }

    /// Waits until no repair is under way.
    pub(super) async fn idle(&self, all: usize) {
        let all = u32::try_from(all).expect("a small number");
        drop(self.under_way.acquire_many(all).await.expect("never closed"));
    }
}
