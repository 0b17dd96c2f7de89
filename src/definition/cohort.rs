//! A cohort as stored: `posthog_cohort` row.

use serde::Deserialize;
use serde_json::Value;

/// A cohort row (`evaluation.md` 2.7). Definitions stay JSON: what a broken one means is decided by the engine.
#[derive(Debug, Clone, Deserialize)]
pub struct RawCohort {
    /// Row id; what filters name.
    pub id: i32,
    /// Deleted cohorts count as missing.
    #[serde(default)]
    pub deleted: bool,
    /// Membership is stored, not computed.
    #[serde(default)]
    pub is_static: bool,
    /// Definition, `evaluation.md` 13.2.
    #[serde(default)]
    pub filters: Option<Value>,
    /// Legacy definition, used when `filters` is absent or null.
    #[serde(default)]
    pub groups: Option<Value>,
    /// `static`, `person_property`, `behavioral`, `realtime`, `analytical` or null.
    #[serde(default)]
    pub cohort_type: Option<String>,
}
