//! Snapshots by project token: readers take no lock, loads are single flight and bounded.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};

use super::negative::NegativeCache;
use super::port::{LoadError, ProjectSource};
use super::project::ProjectSnapshot;

/// Bounds of the map.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotSettings {
    /// Estimated bytes that snapshots may take together; least recently used go first.
    pub capacity_bytes: usize,
    /// Loads of tokens that are not held, at one time; beyond it requests are refused.
    pub lookups_max: usize,
    /// Unknown tokens remembered.
    pub negative_capacity: usize,
    /// For how long.
    pub negative_time_to_live: Duration,
}

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupError {
    /// No team has the token.
    UnknownToken,
    /// Too many never-seen tokens are being looked up.
    Busy,
    /// The store failed; nothing is known of the token.
    Load(LoadError),
}

impl fmt::Display for LookupError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownToken => formatter.write_str("unknown token"),
            Self::Busy => formatter.write_str("too many lookups of new tokens"),
            Self::Load(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for LookupError {}

type Flight = watch::Receiver<Option<Result<Arc<ProjectSnapshot>, LookupError>>>;

/// The teams that this process holds.
pub struct SnapshotMap {
    held: scc::HashIndex<Box<str>, Arc<Held>, ahash::RandomState>,
    negative: NegativeCache,
    source: Arc<dyn ProjectSource>,
    settings: SnapshotSettings,
    lookups: Semaphore,
    flights: Mutex<HashMap<Box<str>, Flight>>,
    bytes: AtomicUsize,
    /// Numbers loads in the order in which they began.
    loads: AtomicU64,
    /// Held while a snapshot is published; readers never wait for it.
    publishing: Mutex<()>,
    started: Instant,
}

struct Held {
    snapshot: ArcSwap<ProjectSnapshot>,
    /// Number of the load that the snapshot came from.
    load: AtomicU64,
    /// Seconds since the map's start.
    last_used: AtomicU32,
}

impl SnapshotMap {
    /// An empty map over a store.
    #[must_use]
    pub fn new(source: Arc<dyn ProjectSource>, settings: SnapshotSettings) -> Self {
        Self {
            held: scc::HashIndex::with_hasher(ahash::RandomState::new()),
            negative: NegativeCache::new(settings.negative_capacity, settings.negative_time_to_live),
            source,
            lookups: Semaphore::new(settings.lookups_max),
            settings,
            flights: Mutex::new(HashMap::new()),
            bytes: AtomicUsize::new(0),
            loads: AtomicU64::new(0),
            publishing: Mutex::new(()),
            started: Instant::now(),
        }
    }

    /// The snapshot of a token that is held. No lock, no wait.
    #[must_use]
    pub fn get(&self, token: &str) -> Option<Arc<ProjectSnapshot>> {
        self.held.peek_with(token, |_, held| {
            let now = self.started.elapsed().as_secs() as u32;
            // Written once a second at most: the line stays shared between workers.
            if held.last_used.load(Ordering::Relaxed) != now {
                held.last_used.store(now, Ordering::Relaxed);
            }
            held.snapshot.load_full()
        })
    }

    /// The snapshot of a token, loaded if it is not held. Requests for one token share one load, which goes
    /// on when the caller goes away.
    pub async fn get_or_load(self: &Arc<Self>, token: &str) -> Result<Arc<ProjectSnapshot>, LookupError> {
        if let Some(snapshot) = self.get(token) {
            return Ok(snapshot);
        }
        if self.negative.contains(token, Instant::now()) {
            return Err(LookupError::UnknownToken);
        }
        let mut flight = self.join_flight(token)?;
        let landed = flight.wait_for(Option::is_some).await;
        match landed.as_deref() {
            Ok(Some(result)) => result.clone(),
            _ => Err(LookupError::Load(LoadError::Unavailable(
                "the load was abandoned".into(),
            ))),
        }
    }

    fn join_flight(self: &Arc<Self>, token: &str) -> Result<Flight, LookupError> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(token) {
            return Ok(flight.clone());
        }
        let Ok(permit) = self.lookups.try_acquire() else {
            return Err(LookupError::Busy);
        };
        permit.forget();
        let (sender, receiver) = watch::channel(None);
        flights.insert(token.into(), receiver.clone());
        drop(flights);
        let map = Arc::clone(self);
        let token: Box<str> = token.into();
        tokio::spawn(async move {
            let landing = Landing { map, token };
            let result = landing.map.load(&landing.token).await;
            // Receivers may all be gone; the snapshot is held all the same.
            sender.send_replace(Some(result));
        });
        Ok(receiver)
    }

    async fn load(&self, token: &str) -> Result<Arc<ProjectSnapshot>, LookupError> {
        let number = self.loads.fetch_add(1, Ordering::Relaxed);
        let Some(raw) = self.source.load(token).await.map_err(LookupError::Load)? else {
            self.negative.insert(token, Instant::now());
            self.remove(token);
            return Err(LookupError::UnknownToken);
        };
        let built = tokio::task::spawn_blocking(move || Arc::new(ProjectSnapshot::build(&raw))).await;
        let snapshot = built.map_err(|error| LookupError::Load(LoadError::Corrupt(error.to_string())))?;
        self.publish(token, number, &snapshot);
        Ok(snapshot)
    }

    /// Loads a token again if it is held or being loaded, and forgets that it was unknown. An error keeps the
    /// old snapshot.
    pub async fn reload(&self, token: &str) -> Result<(), LookupError> {
        self.negative.remove(token);
        let flying = self
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(token);
        if flying || self.held.contains(token) {
            self.load(token).await.map(drop)
        } else {
            Ok(())
        }
    }

    /// Reloads tokens as the store names them, until it fails for good. Run as a task.
    pub async fn follow_changes(self: Arc<Self>, retry_after: Duration) {
        loop {
            match self.source.changed().await {
                Ok(tokens) => {
                    for token in tokens {
                        // An unknown token or a failing store: the next change or request tries again.
                        let _ = self.reload(&token).await;
                    }
                }
                Err(_) => tokio::time::sleep(retry_after).await,
            }
        }
    }

    /// Publishes the outcome of a load, unless a load that began later was faster.
    fn publish(&self, token: &str, number: u64, snapshot: &Arc<ProjectSnapshot>) {
        let publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let added = snapshot.heap_bytes();
        let replaced = self.held.peek_with(token, |_, held| {
            if held.load.load(Ordering::Relaxed) > number {
                return added;
            }
            held.load.store(number, Ordering::Relaxed);
            held.snapshot.swap(Arc::clone(snapshot)).heap_bytes()
        });
        if let Some(before) = replaced {
            self.bytes.fetch_sub(before, Ordering::Relaxed);
            self.bytes.fetch_add(added, Ordering::Relaxed);
        } else {
            let held = Held {
                snapshot: ArcSwap::new(Arc::clone(snapshot)),
                load: AtomicU64::new(number),
                last_used: AtomicU32::new(self.started.elapsed().as_secs() as u32),
            };
            if self.held.insert_sync(token.into(), Arc::new(held)).is_ok() {
                self.bytes.fetch_add(added, Ordering::Relaxed);
            }
        }
        drop(publishing);
        self.evict(token);
    }

    /// Drops least recently used snapshots until the bound holds; `keep` stays.
    fn evict(&self, keep: &str) {
        if self.held_bytes() <= self.settings.capacity_bytes {
            return;
        }
        let guard = scc::Guard::new();
        let mut oldest: Vec<(u32, Box<str>)> = self
            .held
            .iter(&guard)
            .filter(|(token, _)| ***token != *keep)
            .map(|(token, held)| (held.last_used.load(Ordering::Relaxed), token.clone()))
            .collect();
        oldest.sort_unstable();
        for (_, token) in oldest {
            if self.held_bytes() <= self.settings.capacity_bytes {
                return;
            }
            self.remove(&token);
        }
    }

    fn remove(&self, token: &str) {
        let bytes = self
            .held
            .peek_with(token, |_, held| held.snapshot.load().heap_bytes());
        if let Some(bytes) = bytes
            && self.held.remove_sync(token)
        {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Estimated bytes of everything held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Number of teams held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no team is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// Ends a flight, also when the load panics: the permit comes back and the next request starts anew.
struct Landing {
    map: Arc<SnapshotMap>,
    token: Box<str>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.map
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.token);
        self.map.lookups.add_permits(1);
    }
}

#[cfg(test)]
mod tests;
