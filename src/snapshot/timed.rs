//! A small cache of what was read from a database and is read again after a while: by team id, bounded by weight.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A value of one team.
#[derive(Debug)]
pub struct Timed<V> {
    /// What was read.
    pub value: Arc<V>,
    /// Identity of the value: a hash of what it was made from.
    pub tag: u64,
    /// How long it may still be used without asking; zero: read again, but better than nothing.
    pub remaining: Duration,
}

#[derive(Debug)]
struct Kept<V> {
    value: Arc<V>,
    tag: u64,
    weight: usize,
    read_at: Instant,
    used: u64,
}

#[derive(Debug)]
struct State<V> {
    kept: HashMap<i32, Kept<V>>,
    weight: usize,
    uses: u64,
}

/// Values by team id. Not on the request path: loads of snapshots ask it.
#[derive(Debug)]
pub struct TimedCache<V> {
    state: Mutex<State<V>>,
    weight_max: usize,
    time_to_live: Duration,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a monitor reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedCacheStats {
    /// Teams.
    pub entries: usize,
    /// In the unit of the bound.
    pub weight: usize,
    /// Questions that were answered without a read.
    pub hits: u64,
    /// Questions that were not.
    pub misses: u64,
}

impl<V> TimedCache<V> {
    /// `weight_max` in the unit in which [`TimedCache::insert`] is told weights.
    #[must_use]
    pub fn new(weight_max: usize, time_to_live: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                kept: HashMap::new(),
                weight: 0,
                uses: 0,
            }),
            weight_max,
            time_to_live,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The value of a team, also one that is due to be read again.
    #[must_use]
    pub fn get(&self, team: i32, now: Instant) -> Option<Timed<V>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.uses += 1;
        let used = state.uses;
        let found = state.kept.get_mut(&team).map(|kept| {
            kept.used = used;
            let age = now.saturating_duration_since(kept.read_at);
            Timed {
                value: Arc::clone(&kept.value),
                tag: kept.tag,
                remaining: self.time_to_live.saturating_sub(age),
            }
        });
        let hit = found.as_ref().is_some_and(|timed| !timed.remaining.is_zero());
        let counter = if hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps a value; the least recently used ones go when the bound is passed. A value heavier than the bound is
    /// returned and not kept.
    pub fn insert(&self, team: i32, value: V, tag: u64, weight: usize, now: Instant) -> Timed<V> {
        let value = Arc::new(value);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = state.kept.remove(&team) {
            state.weight -= before.weight;
        }
        if weight <= self.weight_max {
            while state.weight + weight > self.weight_max {
                let oldest = state
                    .kept
                    .iter()
                    .min_by_key(|(_, kept)| kept.used)
                    .map(|(team, _)| *team);
                let Some(gone) = oldest.and_then(|team| state.kept.remove(&team)) else {
                    break;
                };
                state.weight -= gone.weight;
            }
            state.uses += 1;
            let kept = Kept {
                value: Arc::clone(&value),
                tag,
                weight,
                read_at: now,
                used: state.uses,
            };
            state.kept.insert(team, kept);
            state.weight += weight;
        }
        Timed {
            value,
            tag,
            remaining: self.time_to_live,
        }
    }

    /// Figures for a monitor.
    #[must_use]
    pub fn stats(&self) -> TimedCacheStats {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        TimedCacheStats {
            entries: state.kept.len(),
            weight: state.weight,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_due_after_their_time_and_still_there() {
        let (cache, start) = (TimedCache::new(100, Duration::from_secs(300)), Instant::now());
        cache.insert(1, "a", 7, 10, start);
        let later = cache.get(1, start + Duration::from_secs(299)).expect("kept");
        assert_eq!((later.tag, later.remaining), (7, Duration::from_secs(1)));
        let due = cache
            .get(1, start + Duration::from_secs(400))
            .expect("better than nothing");
        assert!(due.remaining.is_zero());
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (1, 1));
    }

    #[test]
    fn weight_is_bounded_and_the_least_recently_used_goes() {
        let (cache, now) = (TimedCache::new(100, Duration::from_secs(1)), Instant::now());
        for team in 0..1000 {
            cache.insert(team, (), 0, 30, now);
            assert!(cache.get(0, now).is_some() || team > 0);
            assert!(cache.stats().weight <= 100);
        }
        assert_eq!(cache.stats().entries, 3);
        assert!(cache.get(0, now).is_some(), "it was used all the time");
        cache.insert(0, (), 0, 101, now);
        assert!(cache.get(0, now).is_none(), "heavier than the bound");
    }
}
