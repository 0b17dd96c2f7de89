//! What handles record to. Every operation is a few relaxed atomics on lines that other cores seldom touch.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{CounterFn, HistogramFn};

use super::shard;

/// Words of a block: two cache lines, because processors fetch them in pairs.
const WORDS: usize = 16;

/// A piece of memory that no other shard shares a line with.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Block([AtomicU64; WORDS]);

/// Blocks of one or more shards, each the same number of words.
#[derive(Debug)]
struct Shards {
    blocks: Box<[Block]>,
    blocks_per_shard: usize,
    /// Number of shards, a power of two, less one.
    mask: usize,
}

impl Shards {
    fn new(shards: usize, words: usize) -> Self {
        let blocks_per_shard = words.div_ceil(WORDS).max(1);
        let shards = shards.max(1).next_power_of_two();
        Self {
            blocks: (0..shards * blocks_per_shard).map(|_| Block::default()).collect(),
            blocks_per_shard,
            mask: shards - 1,
        }
    }

    /// The calling thread's shard.
    fn mine(&self) -> &[Block] {
        let from = (shard::current() & self.mask) * self.blocks_per_shard;
        self.blocks
            .get(from..from + self.blocks_per_shard)
            .unwrap_or_default()
    }

    fn all(&self) -> impl Iterator<Item = &[Block]> {
        self.blocks.chunks(self.blocks_per_shard)
    }
}

fn word(blocks: &[Block], at: usize) -> Option<&AtomicU64> {
    blocks.get(at / WORDS)?.0.get(at % WORDS)
}

/// A counter.
#[derive(Debug)]
pub struct ShardedCounter {
    shards: Shards,
}

impl ShardedCounter {
    pub fn new(shards: usize) -> Self {
        Self {
            shards: Shards::new(shards, 1),
        }
    }

    /// The sum of all shards; wraps as each of them does.
    pub fn value(&self) -> u64 {
        self.shards
            .all()
            .filter_map(|blocks| word(blocks, 0))
            .fold(0, |sum, word| sum.wrapping_add(word.load(Ordering::Relaxed)))
    }
}

impl CounterFn for ShardedCounter {
    fn increment(&self, value: u64) {
        if let Some(word) = word(self.shards.mine(), 0) {
            word.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// For counters that mirror another one: to be called from one place at a time, and never beside `increment`.
    fn absolute(&self, value: u64) {
        let shown = self.value();
        if let Some(first) = self.shards.all().next().and_then(|blocks| word(blocks, 0))
            && value > shown
        {
            first.fetch_add(value - shown, Ordering::Relaxed);
        }
    }
}

/// A histogram with fixed bounds: words 0.. are buckets, each with the values up to its bound and above the one before; then one for
/// larger values; then the bits of the sum.
#[derive(Debug)]
pub struct FixedHistogram {
    bounds: &'static [f64],
    shards: Shards,
}

/// A histogram as it is at one moment, buckets not accumulated, the last one without a bound.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramReading {
    pub buckets: Vec<u64>,
    pub sum: f64,
}

impl FixedHistogram {
    /// `bounds` ascend.
    pub fn new(bounds: &'static [f64], shards: usize) -> Self {
        Self {
            bounds,
            shards: Shards::new(shards, bounds.len() + 2),
        }
    }

    pub fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    pub fn read(&self) -> HistogramReading {
        let mut reading = HistogramReading {
            buckets: vec![0; self.bounds.len() + 1],
            sum: 0.0,
        };
        for blocks in self.shards.all() {
            for (at, count) in reading.buckets.iter_mut().enumerate() {
                let counted = word(blocks, at).map_or(0, |word| word.load(Ordering::Relaxed));
                *count = count.wrapping_add(counted);
            }
            if let Some(sum) = word(blocks, self.bounds.len() + 1) {
                reading.sum += f64::from_bits(sum.load(Ordering::Relaxed));
            }
        }
        reading
    }
}

impl HistogramFn for FixedHistogram {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    /// A value that is no number is not recorded: it would spoil the sum for ever.
    fn record_many(&self, value: f64, count: usize) {
        if !value.is_finite() {
            return;
        }
        let mine = self.shards.mine();
        // Most of upstream's histograms begin where our requests have long ended.
        let bucket = match self.bounds.first() {
            Some(first) if value <= *first => 0,
            _ => self.bounds.partition_point(|bound| *bound < value),
        };
        if let Some(bucket) = word(mine, bucket) {
            bucket.fetch_add(count as u64, Ordering::Relaxed);
        }
        let added = value * count as f64;
        // Nothing was waited for, say: the sum stays what it is.
        if added != 0.0
            && let Some(sum) = word(mine, self.bounds.len() + 1)
        {
            let mut before = sum.load(Ordering::Relaxed);
            // Only threads of the same shard compete, so the first attempt nearly always succeeds.
            while let Err(now) = sum.compare_exchange_weak(
                before,
                (f64::from_bits(before) + added).to_bits(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                before = now;
            }
        }
    }
}
