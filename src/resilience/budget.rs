//! How many second attempts the process may make: a share of its first ones, so that retries never multiply an outage.

use std::sync::atomic::{AtomicI64, Ordering};

/// Thousandths of a retry that each first attempt earns: one retry for ten calls.
const EARNED: i64 = 100;

/// Thousandths that can be saved up: enough for a burst of 100 retries after quiet, and for a start.
const SAVED_MAX: i64 = 100_000;

/// One retry.
const PRICE: i64 = 1000;

/// Shared by everything in the process that retries.
#[derive(Debug)]
pub struct RetryBudget {
    saved: AtomicI64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            saved: AtomicI64::new(SAVED_MAX),
        }
    }
}

impl RetryBudget {
    /// Notes a first attempt.
    pub fn earn(&self) {
        // Two callers at the bound may both see room: a few thousandths too many do no harm.
        if self.saved.load(Ordering::Relaxed) < SAVED_MAX {
            self.saved.fetch_add(EARNED, Ordering::Relaxed);
        }
    }

    /// Whether a second attempt may be made; takes its price.
    pub fn spend(&self) -> bool {
        self.saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| {
                (saved >= PRICE).then(|| saved - PRICE)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_first_attempts() {
        let budget = RetryBudget::default();
        let burst = std::iter::repeat_with(|| budget.spend()).take(1000);
        assert_eq!(burst.filter(|granted| *granted).count(), 100);
        for _ in 0..1000 {
            budget.earn();
        }
        let later = std::iter::repeat_with(|| budget.spend()).take(1000);
        assert_eq!(later.filter(|granted| *granted).count(), 100);
    }

    #[test]
    fn quiet_does_not_save_without_bound() {
        let budget = RetryBudget::default();
        (0..1_000_000).for_each(|_| budget.earn());
        let granted = std::iter::repeat_with(|| budget.spend()).take(1000);
        assert!(granted.filter(|granted| *granted).count() <= 101);
    }
}
