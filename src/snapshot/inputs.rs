//! What a snapshot needs from the database itself: cohorts of entries without cohorts, and group types.
//!
//! Each is kept for a while by team. When a read fails, what was read before is better than nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use serde_json::Value;

use super::port::LoadError;
use super::tiered::{TieredSettings, database_error};
use super::timed::{Timed, TimedCache, TimedCacheStats};
use crate::definition::RawCohort;
use crate::hypercache::{CohortRow, DatabaseError, DefinitionDatabase};

/// Caches of one process.
pub struct DatabaseInputs {
    database: Arc<dyn DefinitionDatabase>,
    cohorts: TimedCache<Vec<RawCohort>>,
    group_types: TimedCache<Vec<(i32, String)>>,
    hasher: ahash::RandomState,
    metrics: InputMetrics,
}

/// What is counted of reads and caches (`storage.md` 9).
struct InputMetrics {
    cohort_hits: Counter,
    cohort_misses: Counter,
    cohort_bytes: Gauge,
    cohort_entries: Gauge,
    cohort_reads: Counter,
    cohort_errors: Counter,
    group_type_reads: Counter,
    group_type_errors: Counter,
    group_types_fetch_ms: Histogram,
}

impl Default for InputMetrics {
    fn default() -> Self {
        Self {
            cohort_hits: counter!("flags_cohort_cache_hit_total"),
            cohort_misses: counter!("flags_cohort_cache_miss_total"),
            cohort_bytes: gauge!("flags_cohort_cache_size_bytes"),
            cohort_entries: gauge!("flags_cohort_cache_entries"),
            cohort_reads: counter!("flags_db_cohort_reads_total"),
            cohort_errors: counter!("flags_db_cohort_errors_total"),
            group_type_reads: counter!("flags_db_group_type_reads_total"),
            group_type_errors: counter!("flags_db_group_type_errors_total"),
            group_types_fetch_ms: histogram!("flags_groups_cache_fetch_time"),
        }
    }
}

impl DatabaseInputs {
    pub(super) fn new(database: Arc<dyn DefinitionDatabase>, settings: &TieredSettings) -> Self {
        Self {
            database,
            cohorts: TimedCache::new(settings.cohort_bytes_max, settings.cohort_ttl),
            group_types: TimedCache::new(settings.group_types_max, settings.group_types_ttl),
            hasher: ahash::RandomState::new(),
            metrics: InputMetrics::default(),
        }
    }

    pub(super) async fn cohorts(&self, team_id: i32) -> Result<Timed<Vec<RawCohort>>, LoadError> {
        let now = Instant::now();
        let kept = self.cohorts.get(team_id, now);
        if let Some(kept) = kept.as_ref().filter(|kept| !kept.remaining.is_zero()) {
            self.metrics.cohort_hits.increment(1);
            return Ok(again(kept));
        }
        self.metrics.cohort_misses.increment(1);
        self.metrics.cohort_reads.increment(1);
        match self.database.cohorts(team_id).await {
            Ok(rows) => {
                let bytes = rows.iter().map(cohort_bytes).sum();
                let tag = self.hasher.hash_one(format!("{rows:?}"));
                let cohorts = rows.into_iter().map(raw_cohort).collect();
                let read = self.cohorts.insert(team_id, cohorts, tag, bytes, now);
                self.publish_gauges();
                Ok(read)
            }
            Err(error) => {
                self.metrics.cohort_errors.increment(1);
                or_kept(kept, error)
            }
        }
    }

    pub(super) async fn group_types(&self, team_id: i32) -> Result<Timed<Vec<(i32, String)>>, LoadError> {
        let now = Instant::now();
        let kept = self.group_types.get(team_id, now);
        if let Some(kept) = kept.as_ref().filter(|kept| !kept.remaining.is_zero()) {
            let took = now.elapsed().as_secs_f64() * 1e3;
            self.metrics.group_types_fetch_ms.record(took);
            return Ok(again(kept));
        }
        self.metrics.group_type_reads.increment(1);
        match self.database.group_types(team_id).await {
            Ok(types) => {
                let tag = self.hasher.hash_one(&types);
                Ok(self.group_types.insert(team_id, types, tag, 1, now))
            }
            Err(error) => {
                self.metrics.group_type_errors.increment(1);
                or_kept(kept, error)
            }
        }
    }

    /// Sets the gauges of the cohort cache, which changes in size only when something is read.
    fn publish_gauges(&self) {
        let stats = self.cohorts.stats();
        self.metrics.cohort_bytes.set(stats.weight as f64);
        self.metrics.cohort_entries.set(stats.entries as f64);
    }

    /// Figures of the cohort cache, weight in bytes.
    #[must_use]
    pub fn cohort_stats(&self) -> TimedCacheStats {
        self.cohorts.stats()
    }

    /// Figures of the group type cache, weight in entries.
    #[must_use]
    pub fn group_type_stats(&self) -> TimedCacheStats {
        self.group_types.stats()
    }
}

fn again<V>(kept: &Timed<V>) -> Timed<V> {
    Timed {
        value: Arc::clone(&kept.value),
        tag: kept.tag,
        remaining: kept.remaining,
    }
}

fn or_kept<V>(kept: Option<Timed<V>>, error: DatabaseError) -> Result<Timed<V>, LoadError> {
    let kept = kept.ok_or_else(|| database_error(error))?;
    Ok(Timed {
        remaining: Duration::ZERO,
        ..kept
    })
}

fn cohort_bytes(row: &CohortRow) -> usize {
    let texts = [&row.name, &row.description, &row.filters, &row.query, &row.groups];
    size_of::<RawCohort>() + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

/// A definition that is not JSON becomes one that is not an object, so that it costs the flags that use it and nothing else.
fn raw_cohort(row: CohortRow) -> RawCohort {
    let definition = |text: Option<String>| {
        text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)))
            .filter(|value| !value.is_null())
    };
    RawCohort {
        id: row.id,
        deleted: row.deleted,
        is_static: row.is_static,
        filters: definition(row.filters),
        groups: definition(row.groups),
        cohort_type: row.cohort_type,
    }
}
