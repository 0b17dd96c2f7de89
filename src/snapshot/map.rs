//! Snapshots by project token: readers take no lock and never wait for a refresh.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::flight::Flights;
use super::follow::Reloads;
use super::held::{AgeLimits, Current, Freshness, Held as HeldValue};
use super::metrics::MapMetrics;
use super::negative::NegativeCache;
use super::port::{Held, HeldSource, LoadError, ProjectSource, Tier, Validity};
use super::project::{Compiled, ProjectSnapshot};
use super::push::PushClock;

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
    /// Older snapshots are served and refreshed in the background.
    pub soft_ttl: Duration,
    /// For older ones a request waits, unless they cannot be refreshed.
    pub hard_ttl: Duration,
    /// How long it waits at most (`decisions.md` 8).
    pub load_wait: Duration,
}

impl Default for SnapshotSettings {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            capacity_bytes: 128 << 20,
            lookups_max: 64,
            negative_capacity: 10_000,
            negative_time_to_live: Duration::from_secs(30),
            soft_ttl: Duration::from_secs(2),
            hard_ttl: Duration::from_secs(30),
            load_wait: Duration::from_millis(200),
        }
    }
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

/// What this process holds by project token: snapshots of teams, unless it says otherwise.
pub struct SnapshotMap<V = ProjectSnapshot> {
    pub(super) held: scc::HashIndex<Box<str>, Arc<HeldValue<V>>, ahash::RandomState>,
    pub(super) negative: NegativeCache,
    pub(super) source: Arc<dyn HeldSource<V>>,
    pub(super) settings: SnapshotSettings,
    pub(super) flights: Flights<V>,
    pub(super) reloads: Reloads,
    clock: Arc<PushClock>,
    limits: AgeLimits,
    bytes: AtomicUsize,
    /// Numbers loads, and announcements between them, in the order in which they began.
    pub(super) loads: AtomicU64,
    /// Loads with a smaller number may lack a change, whichever team it was of.
    pub(super) announced_for_all: AtomicU64,
    /// Held while a snapshot is published; readers never wait for it.
    publishing: Mutex<()>,
    /// Tokens of each held team.
    by_team: Mutex<HashMap<i32, Vec<Box<str>>>>,
    pub(super) metrics: MapMetrics,
}

impl SnapshotMap {
    /// An empty map of snapshots over a source of projects.
    #[must_use]
    pub fn new(source: Arc<dyn ProjectSource>, settings: SnapshotSettings) -> Self {
        Self {
            metrics: MapMetrics::of_projects(),
            ..Self::over(Arc::new(Compiled::over(source)), settings)
        }
    }
}

impl<V: Held> SnapshotMap<V> {
    /// An empty map over a source.
    #[must_use]
    pub fn over(source: Arc<dyn HeldSource<V>>, settings: SnapshotSettings) -> Self {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            held: scc::HashIndex::with_hasher(ahash::RandomState::new()),
            negative: NegativeCache::new(settings.negative_capacity, settings.negative_time_to_live),
            clock: source.push_clock(),
            source,
            flights: Flights::new(settings.lookups_max),
            reloads: Reloads::default(),
            limits: AgeLimits {
                soft_ms: milliseconds(settings.soft_ttl),
                hard_ms: milliseconds(settings.hard_ttl),
            },
            settings,
            bytes: AtomicUsize::new(0),
            // A team that was never announced has the number 0.
            loads: AtomicU64::new(1),
            announced_for_all: AtomicU64::new(0),
            publishing: Mutex::new(()),
            by_team: Mutex::new(HashMap::new()),
            metrics: MapMetrics::default(),
        }
    }

    /// The snapshot of a token that is held and may be used without waiting. No lock, no wait; a stale one is
    /// refreshed in the background.
    #[must_use]
    pub fn get(self: &Arc<Self>, token: &str) -> Option<Arc<V>> {
        let (snapshot, freshness) = self.look(token)?;
        match freshness {
            Freshness::Fresh => Some(snapshot),
            Freshness::Stale => {
                self.refresh(token);
                Some(snapshot)
            }
            Freshness::Expired => None,
        }
    }

    /// The snapshot of a token, however old, and without a refresh; for those who only look on.
    #[must_use]
    pub fn peek(&self, token: &str) -> Option<Arc<V>> {
        self.look(token).map(|(snapshot, _)| snapshot)
    }

    /// The held snapshot, however old.
    fn look(&self, token: &str) -> Option<(Arc<V>, Freshness)> {
        self.held.peek_with(token, |_, held| {
            let now_ms = self.now_ms();
            let now_seconds = (now_ms / 1000) as u32;
            // Written once a second at most: the line stays shared between workers.
            if held.last_used.load(Ordering::Relaxed) != now_seconds {
                held.last_used.store(now_seconds, Ordering::Relaxed);
            }
            let announced = held
                .announced
                .load(Ordering::Acquire)
                .max(self.announced_for_all.load(Ordering::Acquire));
            let current = held.current.load();
            let mut freshness = current.freshness(&self.clock, now_ms, announced, self.limits);
            if freshness != Freshness::Fresh && now_ms < held.retry_at_ms.load(Ordering::Relaxed) {
                // A load has just failed. Availability beats freshness, and nobody waits for the next failure.
                freshness = Freshness::Fresh;
            }
            (Arc::clone(&current.snapshot), freshness)
        })
    }

    /// The snapshot of a token, loaded if it is not held or too old. Requests for one token share one load, which goes
    /// on when the caller goes away. An old snapshot is better than none.
    ///
    /// # Errors
    /// When no team has the token, when too many new tokens are looked up, or when nothing is held and all tiers fail.
    pub async fn get_or_load(self: &Arc<Self>, token: &str) -> Result<Arc<V>, LookupError> {
        match self.look(token) {
            Some((snapshot, Freshness::Fresh)) => Ok(snapshot),
            Some((snapshot, Freshness::Stale)) => {
                self.refresh(token);
                Ok(snapshot)
            }
            Some((old, Freshness::Expired)) => {
                let Ok(flight) = self.join_flight(token, true) else {
                    return Ok(old);
                };
                match tokio::time::timeout(self.settings.load_wait, flight.landed()).await {
                    Ok(Ok(snapshot)) => Ok(snapshot),
                    Ok(Err(LookupError::UnknownToken)) => Err(LookupError::UnknownToken),
                    Ok(Err(_)) | Err(_) => Ok(old),
                }
            }
            None if self.negative.contains(token, Instant::now()) => {
                self.metrics.negative_hits.increment(1);
                Err(LookupError::UnknownToken)
            }
            None => self.join_flight(token, false)?.landed().await,
        }
    }

    /// Refreshes a held token in the background, unless somebody does already.
    #[cold]
    fn refresh(self: &Arc<Self>, token: &str) {
        let Some(held) = self.held_entry(token) else {
            return;
        };
        if held.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        if tokio::runtime::Handle::try_current().is_err() || self.join_flight(token, true).is_err() {
            held.refreshing.store(false, Ordering::Release);
        }
    }

    pub(super) fn held_entry(&self, token: &str) -> Option<Arc<HeldValue<V>>> {
        self.held.peek_with(token, |_, held| Arc::clone(held))
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.milliseconds(Instant::now())
    }

    /// Publishes the outcome of a load, unless a load that began later was faster.
    pub(super) fn publish(
        &self,
        token: &str,
        number: u64,
        loaded_ms: u64,
        snapshot: Arc<V>,
        validity: Validity,
    ) {
        let publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let (added, team) = (snapshot.heap_bytes(), snapshot.team_id());
        let current = Current {
            snapshot,
            load: number,
            loaded_ms,
            validity,
        };
        if let Some(held) = self.held_entry(token) {
            let before = held.current.load_full();
            held.retry_at_ms.store(0, Ordering::Relaxed);
            if before.load > number {
                return;
            }
            held.current.store(Arc::new(current));
            self.bytes.fetch_add(added, Ordering::Relaxed);
            self.bytes
                .fetch_sub(before.snapshot.heap_bytes(), Ordering::Relaxed);
            if before.snapshot.team_id() != team {
                self.unlist(before.snapshot.team_id(), token);
                self.list(team, token);
            }
        } else {
            let held = HeldValue::new(current, (loaded_ms / 1000) as u32);
            if self.held.insert_sync(token.into(), Arc::new(held)).is_ok() {
                self.bytes.fetch_add(added, Ordering::Relaxed);
                self.list(team, token);
            }
        }
        drop(publishing);
        self.evict(token);
    }

    fn list(&self, team: i32, token: &str) {
        let mut by_team = self.by_team.lock().unwrap_or_else(PoisonError::into_inner);
        by_team.entry(team).or_default().push(token.into());
    }

    fn unlist(&self, team: i32, token: &str) {
        let mut by_team = self.by_team.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = by_team.get_mut(&team) {
            tokens.retain(|listed| **listed != *token);
            if tokens.is_empty() {
                by_team.remove(&team);
            }
        }
    }

    /// Tokens under which a team is held.
    pub(super) fn tokens_of(&self, team: i32) -> Vec<Box<str>> {
        let by_team = self.by_team.lock().unwrap_or_else(PoisonError::into_inner);
        by_team.get(&team).cloned().unwrap_or_default()
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
        // A little more than needed, so that a full map is not sorted again for every new team.
        let goal = self.settings.capacity_bytes - self.settings.capacity_bytes / EVICTED_SHARE;
        for (_, token) in oldest {
            if self.held_bytes() <= goal {
                return;
            }
            self.remove(&token);
        }
    }

    pub(super) fn remove(&self, token: &str) {
        let _publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = self.held_entry(token) else {
            return;
        };
        if self.held.remove_sync(token) {
            let snapshot = &held.current.load().snapshot;
            self.bytes.fetch_sub(snapshot.heap_bytes(), Ordering::Relaxed);
            self.unlist(snapshot.team_id(), token);
        }
    }

    /// Age of the oldest snapshot that was used within the last minute; `None` when there is none.
    #[must_use]
    pub fn oldest_age(&self) -> Option<Duration> {
        let now_ms = self.now_ms();
        let guard = scc::Guard::new();
        self.held
            .iter(&guard)
            .filter(|(_, held)| now_ms / 1000 < u64::from(held.last_used.load(Ordering::Relaxed)) + 60)
            .map(|(_, held)| Duration::from_millis(held.current.load().age_ms(&self.clock, now_ms)))
            .max()
    }

    /// The same for each tier that snapshots came from.
    pub(super) fn oldest_ages(&self) -> [Option<Duration>; Tier::ALL.len()] {
        let now_ms = self.now_ms();
        let guard = scc::Guard::new();
        let mut ages = [None; Tier::ALL.len()];
        for (_, held) in self.held.iter(&guard) {
            if now_ms / 1000 < u64::from(held.last_used.load(Ordering::Relaxed)) + 60 {
                let current = held.current.load();
                let age = Duration::from_millis(current.age_ms(&self.clock, now_ms));
                let oldest = &mut ages[current.validity.tier as usize];
                *oldest = (*oldest).max(Some(age));
            }
        }
        ages
    }

    /// Where a held token's definitions came from.
    #[must_use]
    pub fn tier_of(&self, token: &str) -> Tier {
        self.held
            .peek_with(token, |_, held| held.current.load().validity.tier)
            .unwrap_or_default()
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

/// One part in this many of the capacity is freed when the bound is reached.
const EVICTED_SHARE: usize = 32;

#[cfg(test)]
mod tests;
