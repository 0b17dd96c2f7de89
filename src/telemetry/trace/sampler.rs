//! Which requests are traced: those whose sender traces them, and a share of those that come without a context.
//!
//! The sender's word counts (OpenTelemetry's `ParentBased`). Otherwise the number of the trace decides
//! (`TraceIdRatioBased`), so that all services with one ratio keep the same traces.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

use super::context::Parent;
use crate::span::SpanId;

/// What is decided of a request that is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// The trace.
    pub trace_id: u128,
    /// The sender's span; `None`: the trace begins here.
    pub parent: Option<SpanId>,
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Sampler {
    /// Of 2^63: traces whose lower number is below it are kept.
    bound: u64,
}

/// Half the range of a word: the ratio is compared with 63 bits, as OpenTelemetry does.
const WHOLE: u64 = 1 << 63;

impl Sampler {
    /// Keeps that share of the traces that begin here; what is not between 0 and 1 counts as the nearer of both, no number as 0.
    #[must_use]
    pub fn new(ratio: f64) -> Self {
        let bound = if ratio >= 1.0 {
            WHOLE
        } else if ratio > 0.0 {
            // Below 2^63, because the ratio is below 1.
            (ratio * WHOLE as f64) as u64
        } else {
            0
        };
        Self { bound }
    }

    /// Decides; `None`: not traced. `parent`: the valid context that the request has, if any.
    pub fn decide(&self, parent: Option<Parent>) -> Option<Sampled> {
        match parent {
            Some(parent) => parent.sampled.then_some(Sampled {
                trace_id: parent.trace_id,
                parent: Some(parent.span_id),
            }),
            None => {
                let low = random();
                self.keeps(low).then(|| Sampled {
                    trace_id: u128::from(random().max(1)) << 64 | u128::from(low),
                    parent: None,
                })
            }
        }
    }

    /// Whether a trace with that lower half of its number is kept.
    fn keeps(&self, low: u64) -> bool {
        low >> 1 < self.bound
    }
}

/// A new number for a span.
pub fn span_id() -> SpanId {
    NonZeroU64::new(random()).unwrap_or(NonZeroU64::MIN)
}

/// 64 bits of a sequence of the thread's own (SplitMix64), begun at a place that the system's randomness chose. No system
/// call, no lock; nobody's secret.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_lower_half_decides_as_in_opentelemetry() {
        let half = Sampler::new(0.5);
        for (low, kept) in [
            (0, true),
            (u64::MAX / 2 - 1, true),
            (u64::MAX / 2 + 1, false),
            (u64::MAX, false),
        ] {
            assert_eq!(half.keeps(low), kept, "{low:x}");
        }
        let thousandth = Sampler::new(0.001);
        assert!(thousandth.keeps(u64::MAX / 1001) && !thousandth.keeps(u64::MAX / 999));
    }

    #[test]
    fn ratios_at_and_beyond_the_ends_are_all_or_nothing() {
        for (ratio, all) in [
            (1.0, true),
            (7.0, true),
            (f64::INFINITY, true),
            (0.0, false),
            (-0.0, false),
            (-1.0, false),
            (f64::NAN, false),
        ] {
            let sampler = Sampler::new(ratio);
            assert_eq!((sampler.keeps(0), sampler.keeps(u64::MAX)), (all, all), "{ratio}");
        }
    }

    #[test]
    fn the_share_is_kept() {
        let sampler = Sampler::new(0.1);
        let kept = (0..100_000).filter(|_| sampler.decide(None).is_some()).count();
        // Ten standard deviations.
        assert!((9_000..11_000).contains(&kept), "{kept}");
    }

    #[test]
    fn the_sender_decides_whatever_the_ratio() {
        let parent = Parent {
            trace_id: 9,
            span_id: NonZeroU64::MIN,
            sampled: true,
        };
        let expected = Sampled {
            trace_id: 9,
            parent: Some(NonZeroU64::MIN),
        };
        assert_eq!(Sampler::new(0.0).decide(Some(parent)), Some(expected));
        let unsampled = Parent {
            sampled: false,
            ..parent
        };
        assert_eq!(Sampler::new(1.0).decide(Some(unsampled)), None);
    }

    #[test]
    fn numbers_differ() {
        let sampler = Sampler::new(1.0);
        let ids = move |_| {
            (0..1000)
                .filter_map(|_| Some(sampler.decide(None)?.trace_id))
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|at| std::thread::spawn(move || ids(at))).collect();
        let all: HashSet<u128> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(all.len(), 4000);
    }
}
