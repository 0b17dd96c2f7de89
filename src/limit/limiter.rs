//! One limiter: a bucket a key, some keys with rates of their own, and what happens above the limit.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::Clock;
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use metrics::Counter;
use tokio::sync::Notify;

use super::states::{KeyHash, KeyedStates, Pressure};

/// What a limiter says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a refused request must not be answered"]
pub enum Verdict {
    /// Within the limit.
    Allowed,
    /// Within the limit and above the warning threshold: the answer says so.
    Warned,
    /// Over the limit, but the limiter only counts and logs.
    Tolerated,
    /// Over the limit: 429.
    Refused,
}

/// What happens above the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    LogOnly,
    Enforced,
}

impl Mode {
    pub(super) fn of(log_only: bool) -> Self {
        if log_only { Self::LogOnly } else { Self::Enforced }
    }

    /// The metric label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::LogOnly => "log_only",
            Self::Enforced => "enforced",
        }
    }
}

/// How a limiter is set up.
pub(super) struct LimiterSettings {
    /// The bucket of every key that has none of its own.
    pub quota: Quota,
    /// Buckets of single keys; these take no place among the others.
    pub own: HashMap<KeyHash, Quota>,
    pub mode: Mode,
    /// Share of a burst above which requests are warned; 0: none.
    pub warn_ratio: f64,
    pub entries_max: usize,
    pub counters: Counters,
}

/// Handles of what is counted.
pub(super) struct Counters {
    /// Requests over the limit, refused or not.
    pub exceeded: Counter,
    /// Requests that were warned.
    pub warned: Counter,
    /// Requests limited by a bucket that several keys share.
    pub shared: Counter,
}

type Keyed<C> = RateLimiter<KeyHash, KeyedStates, C, StateInformationMiddleware>;
type Single<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

/// Limits requests by key. A known key costs no lock and no allocation.
pub(super) struct Limiter<C: Clock> {
    common: Keyed<C>,
    common_warning: Warning,
    own: HashMap<KeyHash, (Single<C>, Warning)>,
    mode: Mode,
    pressure: Arc<Pressure>,
    counters: Counters,
    /// Requests over the limit that were let through since they were last asked for.
    tolerated: AtomicU64,
}

impl<C: Clock + Clone> Limiter<C> {
    /// Wakes `full` when there is no place for a new key.
    pub(super) fn new(settings: LimiterSettings, clock: &C, full: &Arc<Notify>) -> Self {
        let pressure = Arc::new(Pressure::new(Arc::clone(full)));
        let states = KeyedStates::new(settings.entries_max, Arc::clone(&pressure));
        let own = settings.own.into_iter().map(|(key, quota)| {
            let limiter = Single::new(quota, InMemoryState::default(), clock.clone());
            (key, (limiter, Warning::of(quota, settings.warn_ratio)))
        });
        Self {
            common: Keyed::new(settings.quota, states, clock.clone()),
            common_warning: Warning::of(settings.quota, settings.warn_ratio),
            own: own.collect(),
            mode: settings.mode,
            pressure,
            counters: settings.counters,
            tolerated: AtomicU64::new(0),
        }
    }
}

impl<C: Clock> Limiter<C> {
    /// Charges one request to a key, unless it is over the limit.
    pub(super) fn check(&self, key: KeyHash) -> Verdict {
        let (outcome, warning) = match self.own.get(&key) {
            Some((limiter, warning)) => (limiter.check(), *warning),
            None => (self.common.check_key(&key), self.common_warning),
        };
        match outcome {
            Ok(state) if warning.concerns(&state) => {
                self.counters.warned.increment(1);
                Verdict::Warned
            }
            Ok(_) => Verdict::Allowed,
            Err(_) => self.exceeded(),
        }
    }

    #[cold]
    fn exceeded(&self) -> Verdict {
        self.counters.exceeded.increment(1);
        match self.mode {
            Mode::Enforced => Verdict::Refused,
            Mode::LogOnly => {
                self.tolerated.fetch_add(1, Ordering::Relaxed);
                Verdict::Tolerated
            }
        }
    }

    /// Whether requests above the threshold are warned.
    pub(super) fn warns(&self) -> bool {
        self.common_warning.above != u32::MAX
    }

    /// Keys that have a bucket, those with a rate of their own apart.
    pub(super) fn entries(&self) -> usize {
        self.common.len()
    }

    /// Forgets keys whose buckets are full, and counts what happened since the last time.
    pub(super) fn clean(&self) -> Since {
        self.common.retain_recent();
        let since = Since {
            tolerated: self.tolerated.swap(0, Ordering::Relaxed),
            shared: self.pressure.take_shared(),
        };
        self.counters.shared.increment(since.shared);
        since
    }
}

impl<C: Clock> fmt::Debug for Limiter<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Limiter")
            .field("mode", &self.mode)
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}

/// What happened between two cleanings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Since {
    /// Requests over the limit that were let through.
    pub tolerated: u64,
    /// Requests limited by a bucket that several keys share.
    pub shared: u64,
}

/// From which use of a bucket on requests are warned (`http.md` 15.3).
///
/// Upstream has a second, smaller bucket a key. Ours is a mark in the one bucket: with a second one a client at the
/// limit would be told about it only now and then, because warnings alone refill it.
#[derive(Debug, Clone, Copy)]
struct Warning {
    burst: u32,
    /// Requests in use above which a request is warned; `u32::MAX`: never.
    above: u32,
}

impl Warning {
    fn of(quota: Quota, ratio: f64) -> Self {
        let burst = quota.burst_size().get();
        let above = if ratio > 0.0 {
            (f64::from(burst) * ratio).floor() as u32
        } else {
            u32::MAX
        };
        Self { burst, above }
    }

    fn concerns(self, state: &StateSnapshot) -> bool {
        self.above < self.burst && self.burst.saturating_sub(state.remaining_burst_capacity()) > self.above
    }
}
