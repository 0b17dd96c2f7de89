//! Hearing of changes: what was announced is loaded again at once, off the request path.
//!
//! One task of a process asks the source and tells every map: the source counts a change as dealt with when it is asked for
//! the next one, so all maps must know of it by then.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::map::{LookupError, SnapshotMap};
use super::port::{Changed, Changes, Held};

/// Reloads of one map at one time. More wait, each token once, so that the queue is bounded by the teams that are held.
const RELOADS_MAX: usize = 32;

/// Reloads that changes have asked for.
pub(super) struct Reloads {
    turns: Semaphore,
    waiting: Mutex<HashSet<Box<str>>>,
}

impl Default for Reloads {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(RELOADS_MAX),
            waiting: Mutex::default(),
        }
    }
}

/// Something that holds what may change.
pub trait Follower: Send + Sync {
    /// Notes the changes, without waiting; what it holds of them is loaded again in tasks of its own.
    fn hear(self: Arc<Self>, changes: &Changes);
}

impl<V: Held> Follower for SnapshotMap<V> {
    fn hear(self: Arc<Self>, changes: &Changes) {
        match changes {
            Changes::Projects(changed) => {
                for token in self.tokens_of_all(changed) {
                    if self.announce(&token) {
                        self.queue_reload(token);
                    }
                }
            }
            Changes::Everything => {
                let number = self.loads.fetch_add(1, Ordering::AcqRel);
                self.announced_for_all.fetch_max(number, Ordering::AcqRel);
                // Announcements of new tokens may be among what was lost.
                self.negative.clear();
            }
        }
    }
}

impl<V: Held> SnapshotMap<V> {
    /// Loads a token again if it is held or being loaded, and forgets that it was unknown. An error keeps the
    /// old snapshot, which counts as stale until a load succeeds.
    ///
    /// # Errors
    /// As a load; an unknown token is forgotten.
    pub async fn reload(&self, token: &str) -> Result<(), LookupError> {
        if self.announce(token) {
            self.load(token).await.map(drop)
        } else {
            Ok(())
        }
    }

    /// Notes that a token's definitions may have changed. Whether somebody here cares.
    fn announce(&self, token: &str) -> bool {
        self.negative.remove(token);
        let number = self.loads.fetch_add(1, Ordering::AcqRel);
        let held = self.held_entry(token);
        if let Some(held) = &held {
            held.announce(number);
        }
        held.is_some() || self.flights.contains(token)
    }

    /// Reloads projects as the source names them. Run as a task; it never ends.
    pub async fn follow_changes(self: Arc<Self>, retry_after: Duration) {
        self.follow_changes_with(Vec::new(), retry_after).await;
    }

    /// The same, and tells others of all changes.
    pub async fn follow_changes_with(self: Arc<Self>, others: Vec<Arc<dyn Follower>>, retry_after: Duration) {
        loop {
            match self.source.changed().await {
                Ok(changes) => {
                    Arc::clone(&self).hear(&changes);
                    for other in &others {
                        Arc::clone(other).hear(&changes);
                    }
                }
                Err(_) => tokio::time::sleep(retry_after).await,
            }
        }
    }

    /// The tokens that a list of changes concerns, each once.
    fn tokens_of_all(&self, changed: &[Changed]) -> HashSet<Box<str>> {
        let mut tokens = HashSet::new();
        for change in changed.iter().filter(|change| V::depends_on(change)) {
            match change {
                Changed::Token(token) => {
                    tokens.insert(token.clone());
                }
                Changed::Team(team) | Changed::Definitions(team) => {
                    let held = self.tokens_of(*team);
                    if held.is_empty() {
                        // A token that is being loaded for the first time may turn out to be this team's.
                        tokens.extend(self.flights.tokens());
                    }
                    tokens.extend(held);
                }
            }
        }
        tokens
    }

    fn queue_reload(self: &Arc<Self>, token: Box<str>) {
        if !self.reloads.waiting().insert(token.clone()) {
            // The reload that waits will see this change too.
            return;
        }
        let held = self.held_entry(&token);
        if let Some(held) = &held {
            // Requests that see it stale need not load it too.
            held.refreshing.store(true, Ordering::Release);
        }
        let heard = Instant::now();
        let map = Arc::clone(self);
        tokio::spawn(async move {
            let turn = map.reloads.turns.acquire().await;
            // From here on a further change needs a further reload.
            map.reloads.waiting().remove(&token);
            // An unknown token or a failing tier: the snapshot counts as stale, and the next request tries again.
            if map.load(&token).await.is_ok() {
                map.metrics.change_to_serve.record(heard.elapsed().as_secs_f64());
            }
            if let Some(held) = held {
                held.refreshing.store(false, Ordering::Release);
            }
            drop(turn);
        });
    }
}

impl Reloads {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashSet<Box<str>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
