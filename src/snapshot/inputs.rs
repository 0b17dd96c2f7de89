//! What a snapshot needs from the database itself: cohorts of entries without cohorts, and group types.
//!
//! Each is kept for a while by team. When a read fails, what was read before is better than nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
}

impl DatabaseInputs {
    pub(super) fn new(database: Arc<dyn DefinitionDatabase>, settings: &TieredSettings) -> Self {
        Self {
            database,
            cohorts: TimedCache::new(settings.cohort_bytes_max, settings.cohort_ttl),
            group_types: TimedCache::new(settings.group_types_max, settings.group_types_ttl),
            hasher: ahash::RandomState::new(),
        }
    }

    pub(super) async fn cohorts(&self, team_id: i32) -> Result<Timed<Vec<RawCohort>>, LoadError> {
        let now = Instant::now();
        let kept = self.cohorts.get(team_id, now);
        if let Some(kept) = kept.as_ref().filter(|kept| !kept.remaining.is_zero()) {
            return Ok(again(kept));
        }
        match self.database.cohorts(team_id).await {
            Ok(rows) => {
                let bytes = rows.iter().map(cohort_bytes).sum();
                let tag = self.hasher.hash_one(format!("{rows:?}"));
                let cohorts = rows.into_iter().map(raw_cohort).collect();
                Ok(self.cohorts.insert(team_id, cohorts, tag, bytes, now))
            }
            Err(error) => or_kept(kept, error),
        }
    }

    pub(super) async fn group_types(&self, team_id: i32) -> Result<Timed<Vec<(i32, String)>>, LoadError> {
        let now = Instant::now();
        let kept = self.group_types.get(team_id, now);
        if let Some(kept) = kept.as_ref().filter(|kept| !kept.remaining.is_zero()) {
            return Ok(again(kept));
        }
        match self.database.group_types(team_id).await {
            Ok(types) => {
                let tag = self.hasher.hash_one(&types);
                Ok(self.group_types.insert(team_id, types, tag, 1, now))
            }
            Err(error) => or_kept(kept, error),
        }
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
