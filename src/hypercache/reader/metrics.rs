//! What the reader counts (`storage.md` 2.11).

use metrics::{Counter, counter};

use super::{Hit, Miss, Source};
use crate::hypercache::Entry;

/// Handles of one entry's reads.
#[derive(Debug)]
struct EntryMetrics {
    hit_redis: Counter,
    hit_s3: Counter,
    missing: Counter,
    /// Both tiers missed.
    tombstone: Counter,
}

/// Handles of all reads.
#[derive(Debug)]
pub(super) struct ReaderMetrics([EntryMetrics; ENTRIES.len()]);

const ENTRIES: [Entry; 4] = [Entry::Flags, Entry::Definitions, Entry::Team, Entry::Config];

impl Default for ReaderMetrics {
    fn default() -> Self {
        Self(ENTRIES.map(|entry| {
            let (namespace, value) = (entry.namespace(), entry.value());
            let read = |result: &'static str| {
                counter!(
                    "posthog_hypercache_get_from_cache",
                    "result" => result, "namespace" => namespace, "value" => value
                )
            };
            EntryMetrics {
                hit_redis: read("hit_redis"),
                hit_s3: read("hit_s3"),
                missing: read("missing"),
                tombstone: counter!(
                    "posthog_tombstone_total",
                    "failure_type" => "hypercache_miss", "namespace" => namespace, "value" => value
                ),
            }
        }))
    }
}

impl ReaderMetrics {
    /// A sentinel counts as a hit, a failure of both tiers as missing.
    pub fn count(&self, entry: Entry, outcome: &Result<Hit, Miss>) {
        let Some(at) = ENTRIES.iter().position(|known| *known == entry) else {
            return;
        };
        let metrics = &self.0[at];
        match outcome {
            Ok(hit) => match hit.source {
                Source::Redis => metrics.hit_redis.increment(1),
                Source::S3 => metrics.hit_s3.increment(1),
            },
            Err(_) => {
                metrics.missing.increment(1);
                metrics.tombstone.increment(1);
            }
        }
    }
}

/// Handles of one entry's repairs.
#[derive(Debug, Clone)]
pub(super) struct RepairMetrics {
    pub success: Counter,
    pub skipped: Counter,
    pub error: Counter,
}

impl RepairMetrics {
    /// Of repairs of the payload of one entry; its ETag goes with it.
    pub fn of(entry: Entry) -> Self {
        let (namespace, value) = (entry.namespace(), entry.value());
        let result = |result: &'static str| {
            counter!(
                "posthog_hypercache_read_repair",
                "result" => result, "namespace" => namespace, "value" => value, "key" => "payload"
            )
        };
        Self {
            success: result("success"),
            skipped: result("skipped"),
            error: result("error"),
        }
    }
}
