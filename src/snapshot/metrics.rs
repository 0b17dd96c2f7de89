//! What the map counts: loads, ages, and how soon a change is served.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::map::{LookupError, SnapshotMap};
use super::port::{Found, Tier};

/// Handles of a map. The default counts nothing: what definitions are loaded for is counted by their endpoint.
#[derive(Debug)]
pub(super) struct MapMetrics {
    /// Requests for tokens that are remembered as unknown.
    pub negative_hits: Counter,
    /// From the announcement of a change to its being served.
    pub change_to_serve: Histogram,
    changed: [Counter; Tier::ALL.len()],
    unchanged: [Counter; Tier::ALL.len()],
    unknown: Counter,
    failed: Counter,
    load_seconds: Histogram,
    ages: [Gauge; Tier::ALL.len()],
    held: Gauge,
    bytes: Gauge,
    negative: Gauge,
}

/// Handles of whoever compiles projects, their dependency graphs included.
#[derive(Debug)]
pub(super) struct BuildMetrics {
    pub builds: Counter,
    pub build_ms: Histogram,
}

impl Default for BuildMetrics {
    fn default() -> Self {
        Self {
            builds: counter!("flags_dependency_graph_build_total"),
            build_ms: histogram!("flags_dependency_graph_build_ms"),
        }
    }
}

impl Default for MapMetrics {
    fn default() -> Self {
        let counter = |_| Counter::noop();
        Self {
            negative_hits: Counter::noop(),
            change_to_serve: Histogram::noop(),
            changed: Tier::ALL.map(counter),
            unchanged: Tier::ALL.map(counter),
            unknown: Counter::noop(),
            failed: Counter::noop(),
            load_seconds: Histogram::noop(),
            ages: Tier::ALL.map(|_| Gauge::noop()),
            held: Gauge::noop(),
            bytes: Gauge::noop(),
            negative: Gauge::noop(),
        }
    }
}

impl MapMetrics {
    /// Counts what happens to projects.
    pub fn of_projects() -> Self {
        let loads = |tier: Tier, outcome: &'static str| counter!("feature_flags_snapshot_loads_total", "tier" => tier.name(), "outcome" => outcome);
        let without_tier = |outcome: &'static str| loads(Tier::None, outcome);
        Self {
            negative_hits: counter!("flags_team_negative_cache_hit_total"),
            change_to_serve: histogram!("feature_flags_write_to_serve_seconds"),
            changed: Tier::ALL.map(|tier| loads(tier, "changed")),
            unchanged: Tier::ALL.map(|tier| loads(tier, "unchanged")),
            unknown: without_tier("unknown_token"),
            failed: without_tier("failed"),
            load_seconds: histogram!("feature_flags_snapshot_load_duration_seconds"),
            ages: Tier::ALL.map(|tier| gauge!("feature_flags_snapshot_age_seconds", "tier" => tier.name())),
            held: gauge!("feature_flags_snapshots"),
            bytes: gauge!("feature_flags_snapshot_bytes"),
            negative: gauge!("feature_flags_unknown_tokens"),
        }
    }

    /// A load has ended, with or without success, after this time.
    pub fn loaded<V>(&self, outcome: Result<&Found<V>, &LookupError>, took: Duration) {
        let (by_tier, tier) = match outcome {
            Ok(Found::Value(_, validity)) => (&self.changed, validity.tier),
            Ok(Found::Unchanged(validity)) => (&self.unchanged, validity.tier),
            Ok(Found::Nothing) => return self.unknown.increment(1),
            Err(_) => return self.failed.increment(1),
        };
        by_tier[tier as usize].increment(1);
        self.load_seconds.record(took.as_secs_f64());
    }
}

impl SnapshotMap {
    /// Sets the gauges. Looks at every team that is held: not for a thread that serves requests.
    pub fn publish_gauges(&self) {
        let metrics = &self.metrics;
        for (tier, age) in Tier::ALL.into_iter().zip(self.oldest_ages()) {
            metrics.ages[tier as usize].set(age.unwrap_or_default().as_secs_f64());
        }
        metrics.held.set(self.len() as f64);
        metrics.bytes.set(self.held_bytes() as f64);
        metrics.negative.set(self.negative.len() as f64);
    }
}
