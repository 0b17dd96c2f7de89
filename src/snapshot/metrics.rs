//! What the map counts: loads, ages, and how soon a change is served.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::map::{LookupError, SnapshotMap};
use super::port::{Loaded, Tier};

/// Handles of the map.
#[derive(Debug)]
pub(super) struct MapMetrics {
    /// Requests for tokens that are remembered as unknown.
    pub negative_hits: Counter,
    /// Compiling a project, its dependency graph included.
    pub builds: Counter,
    pub build_ms: Histogram,
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

impl Default for MapMetrics {
    fn default() -> Self {
        let loads = |tier: Tier, outcome: &'static str| counter!("feature_flags_snapshot_loads_total", "tier" => tier.name(), "outcome" => outcome);
        let without_tier = |outcome: &'static str| loads(Tier::None, outcome);
        Self {
            negative_hits: counter!("flags_team_negative_cache_hit_total"),
            builds: counter!("flags_dependency_graph_build_total"),
            build_ms: histogram!("flags_dependency_graph_build_ms"),
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
}

impl MapMetrics {
    /// A load has ended, with or without success, after this time.
    pub fn loaded(&self, outcome: Result<&Loaded, &LookupError>, took: Duration) {
        let (by_tier, tier) = match outcome {
            Ok(Loaded::Project(project)) => (&self.changed, project.validity.tier),
            Ok(Loaded::Unchanged(validity)) => (&self.unchanged, validity.tier),
            Ok(Loaded::UnknownToken) => return self.unknown.increment(1),
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
