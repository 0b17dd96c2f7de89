//! One counter: adding is a single atomic operation, taking neither loses nor doubles a count.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::key::Bucket;

/// Set in the slots of a counter that is no longer in the map; what is added to them counts elsewhere.
const RETIRED: u64 = 1 << 63;

/// Buckets that are kept apart: the present one, the one before, the one after (a recorder may read its clock just
/// after the flusher did), and one that only a flusher late by minutes finds filled.
const SLOTS: u64 = 4;

/// Counts of one key by bucket. Every operation is on one slot alone, so the order of its changes is all that exactness needs.
#[derive(Debug, Default)]
pub(super) struct Counter {
    slots: [AtomicU64; SLOTS as usize],
    /// Looks of the flusher in a row that found nothing.
    idle: AtomicU32,
}

impl Counter {
    /// Adds to a bucket. `false`: this counter is retired and nothing was counted.
    pub fn add(&self, bucket: Bucket, count: u64) -> bool {
        self.slot(bucket).fetch_add(count, Ordering::Relaxed) & RETIRED == 0
    }

    /// Takes what is there, and hands it out by bucket.
    pub fn take(&self, now: Bucket, mut each: impl FnMut(Bucket, u64)) {
        for (bucket, slot) in self.by_age(now) {
            // Only loaded where there is nothing to take: the line stays shared with those who add.
            if slot.load(Ordering::Relaxed) != 0 {
                // What is retired stays so.
                let count = slot.fetch_and(RETIRED, Ordering::Relaxed);
                if count != 0 && count & RETIRED == 0 {
                    each(bucket, count);
                }
            }
        }
    }

    /// Takes what is there and closes the counter: whoever adds from now on is told so.
    pub fn retire(&self, now: Bucket, mut each: impl FnMut(Bucket, u64)) {
        for (bucket, slot) in self.by_age(now) {
            let count = slot.swap(RETIRED, Ordering::Relaxed);
            if count != 0 && count & RETIRED == 0 {
                each(bucket, count);
            }
        }
    }

    /// What is there now.
    pub fn pending(&self) -> u64 {
        let counts = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        counts.filter(|count| count & RETIRED == 0).sum()
    }

    /// Notes a look that found something or nothing: the number of looks in a row that found nothing.
    pub fn looked(&self, found: bool) -> u32 {
        let idle = if found {
            0
        } else {
            self.idle.load(Ordering::Relaxed).saturating_add(1)
        };
        self.idle.store(idle, Ordering::Relaxed);
        idle
    }

    fn slot(&self, bucket: Bucket) -> &AtomicU64 {
        &self.slots[(bucket.0 % SLOTS) as usize]
    }

    /// The slots with the buckets that they are for. What has waited too long to be told apart belongs to the present.
    fn by_age(&self, now: Bucket) -> [(Bucket, &AtomicU64); SLOTS as usize] {
        let before = Bucket(now.0.saturating_sub(1));
        let after = Bucket(now.0 + 1);
        [
            (before, self.slot(Bucket(now.0.wrapping_sub(1)))),
            (now, self.slot(now)),
            (after, self.slot(after)),
            (now, self.slot(Bucket(now.0 + 2))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(counter: &Counter, now: u64) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        counter.take(Bucket(now), |bucket, count| found.push((bucket.0, count)));
        found
    }

    #[test]
    fn counts_go_to_the_bucket_that_they_were_made_in() {
        let counter = Counter::default();
        assert!(counter.add(Bucket(99), 1) && counter.add(Bucket(100), 2) && counter.add(Bucket(101), 3));
        assert_eq!(counter.pending(), 6);
        assert_eq!(taken(&counter, 100), [(99, 1), (100, 2), (101, 3)]);
        assert_eq!(taken(&counter, 100), []);
    }

    #[test]
    fn what_waited_for_long_goes_to_the_present() {
        let counter = Counter::default();
        assert!(counter.add(Bucket(98), 5));
        assert_eq!(taken(&counter, 100), [(100, 5)]);
    }

    #[test]
    fn a_retired_counter_says_so() {
        let counter = Counter::default();
        assert!(counter.add(Bucket(7), 1));
        let mut left = Vec::new();
        counter.retire(Bucket(7), |bucket, count| left.push((bucket.0, count)));
        assert_eq!(left, [(7, 1)]);
        for bucket in 0..8 {
            assert!(!counter.add(Bucket(bucket), 1));
        }
        assert_eq!((counter.pending(), taken(&counter, 7)), (0, vec![]));
        assert!(!counter.add(Bucket(7), 1), "still retired");
        counter.retire(Bucket(7), |_, count| panic!("{count} counted twice"));
    }
}
