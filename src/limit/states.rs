//! The buckets of many keys, bounded in number.
//!
//! A known key is found without a lock. At the bound new keys share a fixed number of buckets, so that a flood of
//! distinct keys takes no memory and still is limited; whoever cleans is told.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use governor::nanos::Nanos;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use tokio::sync::Notify;

/// Buckets that keys share once the bound is reached: 8 KiB a limiter.
const SHARED_BUCKETS: usize = 1024;

/// The state of a bucket that is about to leave the index. No bucket gets there by itself: the largest time to refill
/// is a quarter of it.
const REMOVED: Nanos = Nanos::new(u64::MAX);

/// Keys that the index always has room for. Not zero: an index that may vanish tries to, when nearly all keys are gone, and
/// does not become smaller when that fails.
const CAPACITY_MIN: usize = 64;

/// An index becomes smaller by this factor at a time, and only when it is emptier than that.
const SHRINK_STEP: usize = 8;

/// How often freeing waits for a reader that has been interrupted. What is left is freed by a later cleaning.
const RECLAIM_TRIES: usize = 1000;

/// For how long each time.
const RECLAIM_PAUSE: Duration = Duration::from_millis(1);

/// Groups of the old table that the index moves with each group of the new one that it visits. A wrong number would
/// free the old table one cleaning later.
const MOVED_A_STEP: usize = 64;

/// A key as a hash with secrets of this process: a long key costs no more than a short one, and nobody
/// outside can choose keys that meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyHash(pub(super) u64);

/// What an index tells whoever cleans it.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// Woken when an index is full.
    full: Arc<Notify>,
    /// Whether it has been woken and has not cleaned yet.
    told: AtomicBool,
    /// Requests that met a shared bucket since they were last asked for.
    shared: AtomicU64,
}

impl Pressure {
    pub(super) fn new(full: Arc<Notify>) -> Self {
        Self {
            full,
            ..Self::default()
        }
    }

    /// Requests that met a shared bucket since the last call.
    pub(super) fn take_shared(&self) -> u64 {
        self.shared.swap(0, Ordering::Relaxed)
    }

    fn tell(&self) {
        self.shared.fetch_add(1, Ordering::Relaxed);
        if !self.told.load(Ordering::Relaxed) && !self.told.swap(true, Ordering::Relaxed) {
            self.full.notify_one();
        }
    }
}

/// Buckets by key.
///
/// Shared handles, not plain values: the index copies its values when it grows, and what a request writes to an old
/// copy would be lost.
pub(super) struct KeyedStates {
    index: scc::HashIndex<KeyHash, Arc<InMemoryState>, BuildHasherDefault<AlreadyHashed>>,
    /// Keys in the index or on their way there.
    entries: AtomicUsize,
    entries_max: usize,
    shared: Box<[InMemoryState]>,
    pressure: Arc<Pressure>,
}

impl KeyedStates {
    /// No key, `entries_max` at most.
    pub(super) fn new(entries_max: usize, pressure: Arc<Pressure>) -> Self {
        Self {
            index: scc::HashIndex::with_capacity_and_hasher(CAPACITY_MIN, BuildHasherDefault::default()),
            entries: AtomicUsize::new(0),
            entries_max,
            shared: (0..SHARED_BUCKETS).map(|_| InMemoryState::default()).collect(),
            pressure,
        }
    }

    /// Gives back the room of keys that are gone.
    ///
    /// By itself the index judges from a few samples, which disagree when few keys are left among many places, and
    /// then stays as it is. In steps of an eighth, which it is told not to go below, they agree.
    fn shrink(&self, capacity_before: usize) {
        let mut capacity = self.index.capacity();
        while capacity > CAPACITY_MIN && self.len() < capacity / SHRINK_STEP {
            let floor = self
                .index
                .reserve((capacity / SHRINK_STEP).saturating_sub(CAPACITY_MIN).max(1));
            self.finish_moving(capacity);
            drop(floor);
            let now = self.index.capacity();
            if now >= capacity {
                break;
            }
            capacity = now;
        }
        if capacity < capacity_before {
            self.finish_moving(capacity_before);
        }
    }

    /// After a change of size the index moves its keys bit by bit as it is used, and keeps the old table until then.
    /// Here all of them are moved, a group at a time as ever.
    fn finish_moving(&self, capacity_before: usize) {
        let passes = capacity_before / self.index.capacity().max(1) / MOVED_A_STEP + 2;
        for _ in 0..passes {
            self.index.retain_sync(|_, _| true);
        }
    }

    /// Takes a place for a new key, if there is one.
    fn reserve(&self) -> bool {
        if self.entries.fetch_add(1, Ordering::Relaxed) < self.entries_max {
            return true;
        }
        self.entries.fetch_sub(1, Ordering::Relaxed);
        false
    }
}

impl StateStore for KeyedStates {
    type Key = KeyHash;

    fn measure_and_replace<T, F, E>(&self, key: &KeyHash, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        loop {
            let known = self.index.peek_with(key, |_, state| measure(state, &decide));
            if let Some(Some(outcome)) = known {
                return outcome;
            }
            if !self.reserve() {
                self.pressure.tell();
                let bucket = &self.shared[key.0 as usize % SHARED_BUCKETS];
                return bucket.measure_and_replace(&NotKeyed::NonKey, decide);
            }
            // Charged before anybody can see it, so that it cannot be taken for an idle one.
            let state = InMemoryState::default();
            let outcome = state.measure_and_replace(&NotKeyed::NonKey, &decide);
            match self.index.insert_sync(*key, Arc::new(state)) {
                Ok(()) => return outcome,
                // Somebody else was first, and has charged only its own request.
                Err(_) => drop(self.entries.fetch_sub(1, Ordering::Relaxed)),
            }
        }
    }
}

/// `None`: the bucket has just been removed.
fn measure<T, F, E>(state: &InMemoryState, decide: &F) -> Option<Result<T, E>>
where
    F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
{
    let outcome = state.measure_and_replace(&NotKeyed::NonKey, |arrival| match arrival {
        Some(REMOVED) => Err(None),
        arrival => decide(arrival).map_err(Some),
    });
    match outcome {
        Ok(allowed) => Some(Ok(allowed)),
        Err(refused) => refused.map(Err),
    }
}

impl ShrinkableKeyedStateStore<KeyHash> for KeyedStates {
    /// Removes full buckets. Readers go on meanwhile; writers wait for one group of keys at a time.
    fn retain_recent(&self, drop_below: Nanos) {
        let capacity = self.index.capacity();
        self.index.retain_sync(|_, state| {
            // Marked before it leaves: a request that holds the bucket already must not be charged to a lost one.
            let marked = state.measure_and_replace(&NotKeyed::NonKey, |arrival| {
                if arrival.is_none_or(|arrival| arrival <= drop_below) {
                    Ok(((), REMOVED))
                } else {
                    Err(())
                }
            });
            if marked.is_ok() {
                self.entries.fetch_sub(1, Ordering::Relaxed);
            }
            marked.is_err()
        });
        self.shrink(capacity);
        reclaim();
        self.pressure.told.store(false, Ordering::Relaxed);
    }

    fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed).min(self.entries_max)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Frees what was removed once no reader can hold it. The index leaves that to later uses of this thread, of which there
/// may be none for a minute.
fn reclaim() {
    let mut epoch = None;
    for _ in 0..RECLAIM_TRIES {
        let guard = scc::Guard::new();
        if !guard.has_garbage() {
            return;
        }
        guard.accelerate();
        let now = Some(guard.epoch());
        drop(guard);
        // No change: some reader is older. It holds what it looks at for some nanoseconds when it runs.
        if now == epoch {
            std::thread::sleep(RECLAIM_PAUSE);
        }
        epoch = now;
    }
}

/// Keys are hashes already.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use governor::nanos::Nanos;
    use governor::state::StateStore;
    use governor::state::keyed::ShrinkableKeyedStateStore;

    use super::{KeyHash, KeyedStates, Pressure};

    const KEY: KeyHash = KeyHash(7);

    fn states() -> KeyedStates {
        KeyedStates::new(1_000_000, Arc::new(Pressure::default()))
    }

    fn charge(states: &KeyedStates, key: KeyHash, arrival: u64) {
        let charged = states.measure_and_replace(&key, |_| Ok::<_, ()>(((), Nanos::new(arrival))));
        charged.unwrap();
    }

    fn charged(states: &KeyedStates, key: KeyHash) -> Option<u64> {
        let seen = states.measure_and_replace(&key, Err::<((), Nanos), _>);
        seen.unwrap_err().map(Nanos::as_u64)
    }

    /// Charges the key to 20 while `meanwhile` happens between finding the bucket and writing to it.
    fn charge_while(states: &KeyedStates, meanwhile: impl Fn()) {
        let first = Cell::new(true);
        let charged = states.measure_and_replace(&KEY, |_| {
            if first.replace(false) {
                meanwhile();
            }
            Ok::<_, ()>(((), Nanos::new(20)))
        });
        charged.unwrap();
    }

    #[test]
    fn a_charge_to_a_bucket_that_is_being_removed_goes_to_its_successor() {
        let states = states();
        charge(&states, KEY, 10);
        charge_while(&states, || {
            states.retain_recent(Nanos::new(10));
            assert_eq!(states.len(), 0);
        });
        assert_eq!(charged(&states, KEY), Some(20));
        assert_eq!(states.len(), 1);
    }

    #[test]
    fn a_charge_to_a_bucket_that_moves_is_kept() {
        let states = states();
        charge(&states, KEY, 10);
        let key = |number: u64| KeyHash(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        charge_while(&states, || {
            (1..50_000).for_each(|number| charge(&states, key(number), 10));
        });
        assert_eq!(charged(&states, KEY), Some(20));
        assert_eq!(states.len(), 50_000);
    }
}
