//! What one caller's use of a database tells its breaker.
//!
//! Callers have deadlines of their own, often shorter than ours. One that gives up after waiting for long is as much a sign
//! of a database that hangs as a limit of ours that is met; one that leaves early says nothing.

use std::time::{Duration, Instant};

use crate::resilience::{Breaker, Permit};

/// See the module.
pub(super) struct Trial<'b> {
    breaker: &'b Breaker,
    permit: Option<Permit<'b>>,
    /// Set while waiting: when giving up begins to count as a failure.
    patience_ends: Option<Instant>,
}

impl<'b> Trial<'b> {
    pub fn new(breaker: &'b Breaker, permit: Permit<'b>) -> Self {
        Self {
            breaker,
            permit: Some(permit),
            patience_ends: None,
        }
    }

    /// A wait of at most `limit` begins; half of it is patience enough.
    pub fn begin(&mut self, limit: Duration) {
        self.patience_ends = Some(Instant::now() + limit / 2);
    }

    /// The wait is over, without a verdict.
    pub fn pause(&mut self) {
        self.patience_ends = None;
    }

    /// The wait is over. The breaker hears the first verdict, and later ones where they are failures.
    pub fn settle(&mut self, works: bool) {
        self.pause();
        let now = Instant::now();
        match self.permit.take().map_or_else(|| self.breaker.admit(now), Ok) {
            Ok(permit) if works => permit.succeeded(),
            Ok(permit) => permit.failed(now),
            // Open already.
            Err(_) => {}
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.patience_ends.is_some_and(|end| Instant::now() >= end) {
            self.settle(false);
        }
    }
}
