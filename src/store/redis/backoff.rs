//! Waits between attempts to connect: doubling, bounded, spread so that processes do not come in step.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// First wait (`storage.md` 6.1: upstream's comment speaks of 100, 200, 400 ms).
const FIRST: Duration = Duration::from_millis(100);

/// Longest wait: what a server that is back may stay unused.
const MAX: Duration = Duration::from_secs(2);

/// A connection that lived at least this long worked: the next wait is the first again.
pub(super) const STABLE: Duration = MAX;

/// The next wait.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Between half of the wait and all of it; doubles the one after.
    pub(super) fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(MAX);
        let random = RandomState::new().build_hasher().finish() >> 48;
        // At most 65535 parts of 65536.
        whole / 2 + (whole / 2).mul_f64(f64::from(random as u32) / 65_536.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_bound_and_vary_by_half() {
        let mut backoff = Backoff::new();
        let mut whole = FIRST;
        for _ in 0..20 {
            let wait = backoff.wait();
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
            whole = (whole * 2).min(MAX);
        }
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}
