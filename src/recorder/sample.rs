//! Which requests are taken: each by chance, so that nothing that is periodic in the traffic is preferred.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// Takes a share of what it is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sampler {
    /// Random numbers up to here are taken.
    threshold: u64,
    takes_all: bool,
}

impl Sampler {
    /// `rate`: 0 to 1.
    pub fn new(rate: f64) -> Self {
        Self {
            // Saturates; a rate of 1 is the other field.
            threshold: (rate * u64::MAX as f64) as u64,
            takes_all: rate >= 1.0,
        }
    }

    /// One random number of the thread: three shifts, no lock.
    pub fn takes(self) -> bool {
        self.takes_all || random() < self.threshold
    }
}

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// xorshift64: good enough to choose requests by, and nothing else.
fn random() -> u64 {
    let mut state = STATE.get();
    if state == 0 {
        state = RandomState::new().hash_one(0_u8) | 1;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    STATE.set(state);
    state
}

#[cfg(test)]
mod tests {
    use super::Sampler;

    #[test]
    fn the_share_is_the_rate() {
        let taken = |rate: f64| (0..100_000).filter(|_| Sampler::new(rate).takes()).count();
        assert_eq!(taken(0.0), 0);
        assert_eq!(taken(1.0), 100_000);
        let tenth = taken(0.1);
        // Ten standard deviations.
        assert!((9_000..11_000).contains(&tenth), "{tenth}");
    }
}
