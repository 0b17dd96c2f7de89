//! A circuit breaker for one source: after failures in a row calls are refused at once, until a probe succeeds.
//!
//! What counts as a failure is the caller's to say: a source that answers "not there" works. Time is a parameter.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that open a breaker. A single slow answer is no outage; more than this only adds waiting.
const FAILURES_TO_OPEN: u32 = 5;

/// How long a breaker stays open the first time: a restart of Redis takes about as long.
const OPEN_FIRST: Duration = Duration::from_millis(500);

/// Longest time between probes: what a source that is back may stay unused.
const OPEN_MAX: Duration = Duration::from_secs(5);

/// A probe that has not reported after this long is given up, and another one may go.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets all through.
    Closed,
    /// Refuses all.
    Open,
    /// One probe is on its way, all others are refused.
    HalfOpen,
}

/// Guards one source.
#[derive(Debug)]
pub struct Breaker {
    source: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, waited: Duration },
    HalfOpen { since: Instant, waited: Duration },
}

/// The call is refused: the source has failed too often just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOpen {
    /// Name of the source.
    pub source: &'static str,
}

impl std::fmt::Display for BreakerOpen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} failed repeatedly and is not asked for a moment",
            self.source
        )
    }
}

impl std::error::Error for BreakerOpen {}

/// Leave for one call. Dropped without a report it counts for nothing, and a probe's place becomes free.
#[must_use]
#[derive(Debug)]
pub struct Permit<'b> {
    breaker: &'b Breaker,
    probe: bool,
    reported: bool,
}

impl Breaker {
    /// A closed breaker for a source, named as in metrics and logs.
    #[must_use]
    pub fn new(source: &'static str) -> Self {
        Self {
            source,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Name of the source.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Leave to call the source.
    ///
    /// # Errors
    /// When the breaker is open, or a probe is on its way.
    pub fn admit(&self, now: Instant) -> Result<Permit<'_>, BreakerOpen> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until, waited } if now >= until => {
                *state = State::HalfOpen { since: now, waited };
                true
            }
            State::HalfOpen { since, waited } if now.saturating_duration_since(since) >= PROBE_MAX => {
                *state = State::HalfOpen { since: now, waited };
                true
            }
            State::Open { .. } | State::HalfOpen { .. } => {
                return Err(BreakerOpen { source: self.source });
            }
        };
        Ok(Permit {
            breaker: self,
            probe,
            reported: false,
        })
    }

    /// What the breaker does now.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Closes the breaker: something else has shown that the source works, such as a new connection to it.
    pub fn reset(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed { failures: 0 };
    }
}

impl Permit<'_> {
    /// The source answered, whatever it said.
    pub fn succeeded(mut self) {
        self.reported = true;
        self.breaker.reset();
    }

    /// The source did not answer, or only to say that it cannot.
    pub fn failed(mut self, now: Instant) {
        self.reported = true;
        let mut state = self.breaker.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match *state {
            State::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => State::Closed {
                failures: failures + 1,
            },
            State::Closed { .. } => State::Open {
                until: now + OPEN_FIRST,
                waited: OPEN_FIRST,
            },
            State::HalfOpen { waited, .. } if self.probe => {
                let wait = (waited * 2).min(OPEN_MAX);
                State::Open {
                    until: now + wait,
                    waited: wait,
                }
            }
            // A call from before the breaker opened: it has nothing to add.
            unchanged => unchanged,
        };
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe && !self.reported {
            let mut state = self.breaker.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let State::HalfOpen { since, waited } = *state {
                *state = State::Open { until: since, waited };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(breaker: &Breaker, now: Instant) {
        for _ in 0..FAILURES_TO_OPEN {
            breaker.admit(now).expect("closed").failed(now);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn failures_in_a_row_open_it_and_others_do_not() {
        let (breaker, now) = (Breaker::new("redis"), Instant::now());
        for _ in 0..10 {
            for _ in 1..FAILURES_TO_OPEN {
                breaker.admit(now).expect("closed").failed(now);
            }
            breaker.admit(now).expect("closed").succeeded();
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        open(&breaker, now);
        assert_eq!(breaker.admit(now).unwrap_err(), BreakerOpen { source: "redis" });
    }

    #[test]
    fn one_probe_at_a_time_decides() {
        let (breaker, start) = (Breaker::new("s3"), Instant::now());
        open(&breaker, start);
        let later = start + OPEN_FIRST;
        let probe = breaker.admit(later).expect("a probe");
        assert!(breaker.admit(later).is_err());
        probe.failed(later);
        assert!(breaker.admit(later + OPEN_FIRST).is_err(), "the wait has doubled");
        breaker
            .admit(later + 2 * OPEN_FIRST)
            .expect("a probe")
            .succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_dropped_probe_makes_room_for_the_next() {
        let (breaker, start) = (Breaker::new("s3"), Instant::now());
        open(&breaker, start);
        let later = start + OPEN_FIRST;
        drop(breaker.admit(later).expect("a probe"));
        breaker.admit(later).expect("another probe").succeeded();
    }

    #[test]
    fn waits_are_bounded() {
        let (breaker, mut now) = (Breaker::new("postgres"), Instant::now());
        open(&breaker, now);
        for _ in 0..20 {
            now += OPEN_MAX;
            breaker.admit(now).expect("a probe").failed(now);
        }
        assert!(breaker.admit(now + OPEN_MAX).is_ok());
    }
}
