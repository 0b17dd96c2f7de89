//! Usage counts in memory: recorded by requests, taken by the flusher.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scc::hash_index::Entry;

use super::Library;
use super::counter::Counter;
use super::key::{Bucket, RequestType, UsageKey};

/// Looks in a row that find nothing before a counter is given up: five minutes at the default interval, so that a
/// steady team never needs a new one.
const IDLE_LOOKS: u32 = 30;

/// How many requests each team made. A warm team's request adds one to an atomic that a lock-free look finds; only
/// the first one of a key, and the first after a long pause, takes a lock and allocates.
#[derive(Debug)]
pub struct Usage {
    counters: scc::HashIndex<UsageKey, Arc<Counter>, ahash::RandomState>,
    entries: AtomicUsize,
    entries_max: usize,
    enabled: bool,
    dropped: metrics::Counter,
}

/// A counter with something in it.
pub(super) type Pending = (UsageKey, Arc<Counter>);

impl Usage {
    /// Counts at most `entries_max` keys; requests of further ones are dropped, and counted as that. `enabled` false
    /// (`SKIP_WRITES`): counts nothing.
    #[must_use]
    pub fn new(entries_max: usize, enabled: bool) -> Self {
        Self {
            counters: scc::HashIndex::with_hasher(ahash::RandomState::new()),
            entries: AtomicUsize::new(0),
            entries_max,
            enabled,
            dropped: metrics::counter!("flags_billing_unflushed_requests_total", "cause" => "cap_drop"),
        }
    }

    /// Counts one request. `now_seconds`: since 1970.
    pub fn record(&self, request: RequestType, team_id: i32, library: Library, now_seconds: i64) {
        if self.enabled {
            self.add(
                UsageKey::new(request, team_id, library),
                Bucket::of(now_seconds),
                1,
            );
        }
    }

    /// Adds to a key. `false`: there is no room for another key, and the count is dropped.
    pub(super) fn add(&self, key: UsageKey, bucket: Bucket, count: u64) -> bool {
        let added = self
            .counters
            .peek_with(&key, |_, counter| counter.add(bucket, count));
        added == Some(true) || self.add_new(key, bucket, count)
    }

    #[cold]
    fn add_new(&self, key: UsageKey, bucket: Bucket, count: u64) -> bool {
        let counted = |count| {
            let counter = Counter::default();
            counter.add(bucket, count);
            Arc::new(counter)
        };
        // Looked at before the map is: a flood of new keys must not wait for its locks.
        let full = || self.entries.load(Ordering::Relaxed) >= self.entries_max;
        if full() && !self.counters.contains(&key) {
            self.dropped.increment(count);
            return false;
        }
        match self.counters.entry_sync(key) {
            Entry::Occupied(mut entry) => {
                if !entry.get().add(bucket, count) {
                    entry.update(counted(count));
                }
            }
            Entry::Vacant(entry) => {
                if self.entries.fetch_add(1, Ordering::Relaxed) >= self.entries_max {
                    self.entries.fetch_sub(1, Ordering::Relaxed);
                    self.dropped.increment(count);
                    return false;
                }
                entry.insert_entry(counted(count));
            }
        }
        true
    }

    /// The counters that have something in them; gives up those that have had nothing for long. For one caller at a time.
    pub(super) fn pending(&self, now: Bucket) -> Vec<Pending> {
        // Room is needed more than warm counters once half of it is gone.
        let crowded = self.entries.load(Ordering::Relaxed) > self.entries_max / 2;
        let idle_looks = if crowded { 1 } else { IDLE_LOOKS };
        let (mut found, mut idle) = (Vec::new(), Vec::new());
        let guard = scc::Guard::new();
        for (key, counter) in self.counters.iter(&guard) {
            let filled = counter.pending() > 0;
            if counter.looked(filled) >= idle_looks {
                idle.push((*key, Arc::clone(counter)));
            } else if filled {
                found.push((*key, Arc::clone(counter)));
            }
        }
        drop(guard);
        for (key, counter) in idle {
            let mut left = Vec::new();
            counter.retire(now, |bucket, count| left.push((bucket, count)));
            // Not if somebody has put a new one in its place already.
            if self
                .counters
                .remove_if_sync(&key, |there| Arc::ptr_eq(there, &counter))
            {
                self.entries.fetch_sub(1, Ordering::Relaxed);
            }
            // Made since the look: they count at the next one.
            for (bucket, count) in left {
                self.add(key, bucket, count);
            }
        }
        found
    }

    /// Keys with something to write, and the requests of all of them.
    pub(super) fn waiting(&self) -> (usize, u64) {
        let guard = scc::Guard::new();
        let counts = self.counters.iter(&guard).map(|(_, counter)| counter.pending());
        counts
            .filter(|count| *count > 0)
            .fold((0, 0), |(keys, sum), count| (keys + 1, sum + count))
    }
}
