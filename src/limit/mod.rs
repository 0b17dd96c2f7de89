//! How much may be asked: requests at once, and requests by client address, project token and team.
//!
//! Rates are token buckets (GCRA, `governor`), `http.md` 13.6 and 15. A bucket is an atomic number: a known key costs no lock
//! and no allocation (`states.rs`). Nothing here knows HTTP: a [`Verdict`] is made an answer by `http`.

mod cleanup;
mod concurrency;
mod definitions;
mod flags;
mod limiter;
mod quota;
mod states;

use std::sync::Arc;

use governor::clock::{Clock, MonotonicClock};
use tokio::sync::Notify;

pub use cleanup::Entries;
pub use concurrency::ConcurrencyLimit;
pub use definitions::DefinitionsLimiter;
pub use flags::{AddressLimiter, TokenLimiter};
pub use limiter::Verdict;

use crate::config::{DefinitionsSettings, RateLimitSettings};

/// The rate limiters of a process. Time comes from the clock, whose start does not matter.
#[derive(Debug)]
pub struct Limits<C: Clock = MonotonicClock> {
    /// `POST /flags`, by client address.
    pub ip: AddressLimiter<C>,
    /// `POST /flags`, by project token.
    pub token: TokenLimiter<C>,
    /// `/flags/definitions`, by team.
    pub definitions: DefinitionsLimiter<C>,
    gauges: cleanup::Gauges,
    /// Woken when some limiter has no place for a new key.
    full: Arc<Notify>,
}

impl Limits {
    /// Full buckets for everybody. Metrics go to the recorder that is there now.
    #[must_use]
    pub fn new(flags: &RateLimitSettings, definitions: &DefinitionsSettings) -> Self {
        Self::with_clock(flags, definitions, &MonotonicClock)
    }
}

impl<C: Clock + Clone> Limits<C> {
    /// The same with another clock.
    #[must_use]
    pub fn with_clock(flags: &RateLimitSettings, definitions: &DefinitionsSettings, clock: &C) -> Self {
        let full = Arc::new(Notify::new());
        Self {
            ip: AddressLimiter::new(flags, clock, &full),
            token: TokenLimiter::new(flags, clock, &full),
            definitions: DefinitionsLimiter::new(definitions, flags.entries_max, clock, &full),
            gauges: cleanup::Gauges::new(),
            full,
        }
    }
}

#[cfg(test)]
mod tests;
