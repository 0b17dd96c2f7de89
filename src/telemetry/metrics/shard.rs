//! Which set of atomics a thread records to.
//!
//! Two cores that add to one cache line wait for each other. Each thread therefore has a number, and what is
//! recorded most has as many sets as there are processors, up to a bound; reading adds them up.

use std::cell::Cell;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// More would cost memory for every series; beyond it threads share, evenly.
const SHARDS_MAX: usize = 16;

const UNASSIGNED: usize = usize::MAX;

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(UNASSIGNED) };
}

/// Sets to keep: a power of two.
pub fn count() -> usize {
    available_parallelism()
        .map_or(1, NonZero::get)
        .next_power_of_two()
        .min(SHARDS_MAX)
}

/// The calling thread's number; to be masked with the count less one.
pub fn current() -> usize {
    let number = NUMBER.get();
    if number == UNASSIGNED { assign() } else { number }
}

#[cold]
fn assign() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) & (SHARDS_MAX - 1);
    NUMBER.set(number);
    number
}
