//! Changes on their way to the consumer: coalesced, bounded, and in step with the proofs that follow them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::hypercache::EntryKey;
use crate::snapshot::PushClock;

/// Keys that wait at most; beyond them everything counts as changed. A deploy that rewrites all teams costs one reload.
const KEYS_MAX: usize = 10_000;

/// What may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These entries, payload or ETag: changed, deleted, expired or evicted.
    Entries(Vec<EntryKey>),
    /// Any entry: a flush, a lost or a new connection, or too many changes to name.
    Everything,
}

/// One queue for all servers, with one consumer.
#[derive(Debug)]
pub struct ChangeQueue {
    clock: Arc<PushClock>,
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    keys: HashSet<EntryKey>,
    everything: bool,
    /// Proofs behind the changes above: they hold when those have been dealt with.
    proofs: Vec<Proof>,
    /// Proofs whose changes the consumer has taken and not yet come back for more.
    taken: Vec<Proof>,
    /// The consumer has taken changes and not yet come back.
    busy: bool,
}

#[derive(Debug, Clone, Copy)]
struct Proof {
    server: usize,
    epoch: u64,
    proven: Instant,
}

impl ChangeQueue {
    /// Empty, for the servers of a clock.
    #[must_use]
    pub fn new(clock: Arc<PushClock>) -> Self {
        Self {
            clock,
            waiting: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// The clock that the proofs advance.
    #[must_use]
    pub fn clock(&self) -> &Arc<PushClock> {
        &self.clock
    }

    /// Waits for changes and takes all that there are. Coming back says that those taken before have been dealt with: only
    /// then do the proofs behind them count. Cancel safe.
    pub async fn next(&self) -> Changes {
        loop {
            let filled = self.filled.notified();
            if let Some(changes) = self.take() {
                return changes;
            }
            filled.await;
        }
    }

    fn take(&self) -> Option<Changes> {
        let mut waiting = self.waiting();
        waiting.busy = false;
        for proof in std::mem::take(&mut waiting.taken) {
            self.clock.prove(proof.server, proof.epoch, proof.proven);
        }
        let everything = std::mem::take(&mut waiting.everything);
        let keys = std::mem::take(&mut waiting.keys);
        if !everything && keys.is_empty() {
            return None;
        }
        waiting.taken = std::mem::take(&mut waiting.proofs);
        waiting.busy = true;
        drop(waiting);
        Some(if everything {
            Changes::Everything
        } else {
            Changes::Entries(keys.into_iter().collect())
        })
    }

    pub(super) fn changed(&self, key: EntryKey) {
        let mut waiting = self.waiting();
        if !waiting.everything {
            waiting.keys.insert(key);
            if waiting.keys.len() > KEYS_MAX {
                waiting.keys = HashSet::new();
                waiting.everything = true;
            }
        }
        drop(waiting);
        self.filled.notify_one();
    }

    pub(super) fn everything_changed(&self) {
        let mut waiting = self.waiting();
        waiting.keys.clear();
        waiting.everything = true;
        drop(waiting);
        self.filled.notify_one();
    }

    /// Every change of a server up to `proven` is in the queue or has left it.
    pub(super) fn delivered(&self, server: usize, epoch: u64, proven: Instant) {
        let mut guard = self.waiting();
        let waiting = &mut *guard;
        let proof = Proof {
            server,
            epoch,
            proven,
        };
        let list = if waiting.everything || !waiting.keys.is_empty() {
            &mut waiting.proofs
        } else if waiting.busy {
            &mut waiting.taken
        } else {
            self.clock.prove(server, epoch, proven);
            return;
        };
        // The later proof of a server says all that an earlier one said.
        list.retain(|known| known.server != server);
        list.push(proof);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_proof_counts_when_the_changes_before_it_are_dealt_with() {
        let clock = Arc::new(PushClock::new(1));
        let queue = ChangeQueue::new(Arc::clone(&clock));
        let start = Instant::now() + Duration::from_millis(5);
        let epoch = clock.begin(0, start);
        let epochs = clock.epochs().expect("followed");
        let begun = clock.fresh_until(epochs).expect("proven");
        queue.changed(EntryKey::Flags(7));
        queue.changed(EntryKey::Flags(7));
        queue.delivered(0, epoch, start + Duration::from_millis(100));
        assert_eq!(clock.fresh_until(epochs), Some(begun), "the change waits");
        assert_eq!(queue.next().await, Changes::Entries(vec![EntryKey::Flags(7)]));
        queue.delivered(0, epoch, start + Duration::from_millis(200));
        assert_eq!(
            clock.fresh_until(epochs),
            Some(begun),
            "the change is being dealt with"
        );
        assert!(queue.take().is_none());
        let proven = clock.fresh_until(epochs).expect("proven");
        assert_eq!(proven, begun + Duration::from_millis(200));
        queue.delivered(0, epoch, start + Duration::from_millis(300));
        let proven = clock.fresh_until(epochs).expect("proven");
        assert_eq!(proven, begun + Duration::from_millis(300), "nothing waits");
    }

    #[tokio::test]
    async fn too_many_changes_are_everything() {
        let queue = ChangeQueue::new(Arc::new(PushClock::new(1)));
        for id in 0..=i32::try_from(KEYS_MAX).expect("small") {
            queue.changed(EntryKey::Flags(id));
        }
        assert_eq!(queue.next().await, Changes::Everything);
        queue.changed(EntryKey::Flags(1));
        assert_eq!(queue.next().await, Changes::Entries(vec![EntryKey::Flags(1)]));
    }
}
