//! The first tier, with the moments at which entries were written to it.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use feature_flags::hypercache::{
    BoxFuture, Entry, EntryCache, EntryKey, EntryWrite, StoredEntry, StoredPair, TierError,
};

/// Passes everything on, and notes when a write begins: earlier than Redis can have it.
pub struct Stamped {
    cache: Arc<dyn EntryCache>,
    writes: Mutex<Vec<(Entry, Instant)>>,
}

impl Stamped {
    pub fn new(cache: Arc<dyn EntryCache>) -> Self {
        Self {
            cache,
            writes: Mutex::default(),
        }
    }

    /// When the entry of this kind was written since the last question.
    pub fn taken(&self, entry: Entry) -> Instant {
        let writes = std::mem::take(&mut *self.writes.lock().unwrap());
        let written = writes.iter().find(|(written, _)| *written == entry);
        written.expect("the builder wrote the entry").1
    }
}

impl EntryCache for Stamped {
    fn get<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        self.cache.get(key)
    }

    fn get_etag<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        self.cache.get_etag(key)
    }

    fn get_both<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<StoredPair, TierError>> {
        self.cache.get_both(key)
    }

    fn inspect<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<StoredEntry>, TierError>> {
        self.cache.inspect(key)
    }

    fn put<'a>(&'a self, key: &'a EntryKey, write: EntryWrite) -> BoxFuture<'a, Result<(), TierError>> {
        self.writes.lock().unwrap().push((key.entry(), Instant::now()));
        self.cache.put(key, write)
    }

    fn delete<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<(), TierError>> {
        self.cache.delete(key)
    }

    fn repair<'a>(&'a self, key: &'a EntryKey, write: EntryWrite) -> BoxFuture<'a, Result<bool, TierError>> {
        self.cache.repair(key, write)
    }
}
