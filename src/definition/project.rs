//! Everything that one team's snapshot is compiled from.

use std::collections::HashMap;

use serde::Deserialize;

use super::{RawCohort, RawFlag};

/// Dependency data that the cache writer computed (`evaluation.md` 2.6).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct EvaluationMetadata {
    /// Stage 0 first.
    #[serde(default)]
    pub dependency_stages: Vec<Vec<i32>>,
    /// Flags with a missing, cyclic or transitively broken dependency.
    #[serde(default)]
    pub flags_with_missing_deps: Vec<i32>,
    /// Flag id to all its direct and indirect dependencies; a non-numeric key makes the document invalid.
    #[serde(default)]
    pub transitive_deps: HashMap<i32, Vec<i32>>,
}

/// The team columns that answers depend on.
#[derive(Debug, Clone, Default)]
pub struct RawTeam {
    /// `posthog_team.id`.
    pub id: i32,
    /// `posthog_team.project_id`, or `id` where it is null.
    pub project_id: i64,
    /// Project token, public.
    pub api_token: String,
    /// IANA name; unknown names count as UTC.
    pub timezone: String,
    /// `posthog_teamfeatureflagsconfig.minimal_flag_called_events`.
    pub minimal_flag_called_events: bool,
    /// `posthog_team.cookieless_server_hash_mode`: 0 off, 1 stateless, 2 stateful.
    pub cookieless_server_hash_mode: i16,
}

/// A flag that could not be parsed: it costs only itself, and is reported once at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedFlag {
    /// Row id.
    pub id: i32,
    /// Response key.
    pub key: String,
    /// What the parser said.
    pub error: String,
}

/// One team's definitions as loaded, before compilation.
#[derive(Debug, Default)]
pub struct RawProject {
    /// The team.
    pub team: RawTeam,
    /// Flags that parsed, any order.
    pub flags: Vec<RawFlag>,
    /// Flags that did not.
    pub malformed_flags: Vec<MalformedFlag>,
    /// Cohorts that are not deleted.
    pub cohorts: Vec<RawCohort>,
    /// Group type index and name.
    pub group_types: Vec<(i32, String)>,
    /// The mapping could not be read, which is not the same as an empty one (`evaluation.md` 14.2).
    pub group_types_failed: bool,
    /// Precomputed stages; absent: the engine builds the graph.
    pub evaluation_metadata: Option<EvaluationMetadata>,
    /// The remote-config document as JSON text, when the project has one.
    pub remote_config: Option<String>,
}
