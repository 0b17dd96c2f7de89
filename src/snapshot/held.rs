//! One team as it is held, and how fresh that is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::port::Validity;
use super::push::{PushClock, Standing};

/// A team in the map.
pub(super) struct Held<V> {
    pub current: ArcSwap<Current<V>>,
    /// Seconds since the map's start.
    pub last_used: AtomicU32,
    /// Loads with a smaller number may lack a change that was announced.
    pub announced: AtomicU64,
    /// Somebody is refreshing it in the background.
    pub refreshing: AtomicBool,
    /// After a failed load: nobody tries, or waits, before this moment. Milliseconds of the clock.
    pub retry_at_ms: AtomicU64,
}

/// A snapshot and when it was found to be current.
pub(super) struct Current<V> {
    pub snapshot: Arc<V>,
    /// Number of the load that said so.
    pub load: u64,
    /// When that load began, milliseconds of the clock.
    pub loaded_ms: u64,
    pub validity: Validity,
}

/// How a held snapshot may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// As it is.
    Fresh,
    /// As it is, while it is refreshed in the background.
    Stale,
    /// Only if a refresh fails or takes too long.
    Expired,
}

/// Ages that decide, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct AgeLimits {
    pub soft_ms: u64,
    pub hard_ms: u64,
}

impl<V> Held<V> {
    pub fn new(current: Current<V>, last_used: u32) -> Self {
        Self {
            current: ArcSwap::from_pointee(current),
            last_used: AtomicU32::new(last_used),
            announced: AtomicU64::new(0),
            refreshing: AtomicBool::new(false),
            retry_at_ms: AtomicU64::new(0),
        }
    }

    /// Notes that loads before this number may lack a change.
    pub fn announce(&self, number: u64) {
        self.announced.fetch_max(number, Ordering::AcqRel);
    }
}

impl<V> Current<V> {
    /// How old it is, counted from the last moment at which it was known to be current.
    pub fn age_ms(&self, clock: &PushClock, now_ms: u64) -> u64 {
        let verified = match self.validity.epochs.map(|epochs| clock.standing(epochs)) {
            Some(Standing::Proven(until) | Standing::Lost(until)) => self.loaded_ms.max(until),
            None => self.loaded_ms,
        };
        now_ms.saturating_sub(verified)
    }

    /// `announced`: loads with a smaller number may lack a change.
    pub fn freshness(&self, clock: &PushClock, now_ms: u64, announced: u64, limits: AgeLimits) -> Freshness {
        let age_ms = self.age_ms(clock, now_ms);
        if age_ms >= limits.hard_ms {
            return Freshness::Expired;
        }
        let lost = self
            .validity
            .epochs
            .is_some_and(|epochs| matches!(clock.standing(epochs), Standing::Lost(_)));
        let due = self.validity.recheck_after.is_some_and(|after| {
            now_ms.saturating_sub(self.loaded_ms) >= u64::try_from(after.as_millis()).unwrap_or(u64::MAX)
        });
        if age_ms >= limits.soft_ms || lost || due || self.load < announced {
            Freshness::Stale
        } else {
            Freshness::Fresh
        }
    }
}
