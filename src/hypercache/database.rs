//! Rows that entries are built from, and the port through which they are read.

use std::fmt;

use super::BoxFuture;

/// Columns of `posthog_team` that the team entry holds as JSON and that have no field in [`TeamRow`] (`storage.md` 3.3).
pub const TEAM_SETTING_COLUMNS: [&str; 31] = [
    "autocapture_exceptions_errors_to_ignore",
    "autocapture_exceptions_opt_in",
    "autocapture_opt_out",
    "autocapture_web_vitals_allowed_metrics",
    "autocapture_web_vitals_opt_in",
    "capture_console_log_opt_in",
    "capture_dead_clicks",
    "capture_performance_opt_in",
    "conversations_enabled",
    "conversations_settings",
    "extra_settings",
    "flags_persistence_default",
    "heatmaps_opt_in",
    "inject_web_apps",
    "logs_settings",
    "product_tours_opt_in",
    "recording_domains",
    "session_recording_event_trigger_config",
    "session_recording_linked_flag",
    "session_recording_masking_config",
    "session_recording_minimum_duration_milliseconds",
    "session_recording_network_payload_capture_config",
    "session_recording_opt_in",
    "session_recording_sample_rate",
    "session_recording_trigger_match_type_config",
    "session_recording_url_blocklist_config",
    "session_recording_url_trigger_config",
    "session_replay_config",
    "survey_config",
    "surveys_opt_in",
    "cookieless_server_hash_mode",
];

/// `posthog_team` with the names of its organisation and project, and its flag config row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamRow {
    /// Row id.
    pub id: i32,
    /// As stored; null counts as `id`.
    pub project_id: Option<i64>,
    /// Text form.
    pub organization_id: Option<String>,
    /// Text form.
    pub uuid: String,
    /// Display name.
    pub name: String,
    /// Project token.
    pub api_token: String,
    /// In the clear, as stored.
    pub secret_api_token: Option<String>,
    /// In the clear, as stored.
    pub secret_api_token_backup: Option<String>,
    /// IANA name.
    pub timezone: String,
    /// `posthog_organization.name`.
    pub organization_name: Option<String>,
    /// `posthog_project.name`.
    pub project_name: Option<String>,
    /// `posthog_teamfeatureflagsconfig`, false without a row.
    pub minimal_flag_called_events: bool,
    /// `posthog_teamfeatureflagsconfig`, 1 without a row.
    pub property_matching_version: i32,
    /// JSON text of each of [`TEAM_SETTING_COLUMNS`], in that order; `null` for null. The sample rate is a number here.
    pub settings: Vec<String>,
    /// JSON text of `session_recording_trigger_groups`, which the team entry does not hold; `None` for null.
    pub trigger_groups: Option<String>,
}

/// `posthog_featureflag` with its evaluation contexts (query F1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagRow {
    /// Row id.
    pub id: i32,
    /// Owner.
    pub team_id: i32,
    /// Display name.
    pub name: String,
    /// Response key.
    pub key: String,
    /// JSON text as stored, well-formed or not.
    pub filters: String,
    /// False in every row that is selected.
    pub deleted: bool,
    /// Inactive flags are selected too.
    pub active: bool,
    /// Null stays null.
    pub ensure_experience_continuity: Option<bool>,
    /// Null stays null.
    pub version: Option<i32>,
    /// Null stays null.
    pub evaluation_runtime: Option<String>,
    /// Null stays null.
    pub bucketing_identifier: Option<String>,
    /// Sorted by name.
    pub evaluation_contexts: Vec<String>,
    /// Whether an experiment that is not deleted points at the flag. `None` only in the embedded store, for a flag whose
    /// document does not say: then the field is left out of the entry.
    pub has_experiment: Option<bool>,
}

/// `posthog_cohort` (queries C1, C2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns by name, as `storage.md` 3.1 lists them")]
pub struct CohortRow {
    pub id: i32,
    pub team_id: i32,
    pub name: Option<String>,
    pub description: Option<String>,
    pub deleted: bool,
    /// JSON text, as are `query`, `groups` and `condition_type`.
    pub filters: Option<String>,
    pub query: Option<String>,
    pub version: Option<i32>,
    pub pending_version: Option<i32>,
    pub count: Option<i32>,
    pub is_calculating: bool,
    pub is_static: bool,
    pub errors_calculating: i32,
    pub groups: Option<String>,
    pub created_by_id: Option<i32>,
    pub cohort_type: Option<String>,
    pub condition_type: Option<String>,
    /// ISO 8601 text, as are the two below.
    pub last_backfill_person_properties_at: Option<String>,
    pub last_backfill_events_at: Option<String>,
    pub last_realtime_cohort_calculation_at: Option<String>,
}

/// Everything of one team that entries are built from, group types apart: those live in the persons database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectRows {
    /// The team.
    pub team: TeamRow,
    /// Not deleted, by id, without those that are remote configuration with encrypted payloads (F1).
    pub flags: Vec<FlagRow>,
    /// Not deleted, by id, of every team of the project: `flags.json` uses those of the team, `flags_with_cohorts.json` all (4.3, 4.4).
    pub cohorts: Vec<CohortRow>,
    /// Flags that surveys own (L1).
    pub survey_flag_ids: Vec<i32>,
    /// `posthog_remoteconfig.config` as JSON text.
    pub remote_config: Option<String>,
    /// `posthog_errortrackingsuppressionrule.filters` as JSON text, in the order of the rules.
    pub suppression_rules: Vec<String>,
}

/// Which teams a builder goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeamSelection {
    /// Every team.
    All,
    /// Teams that have ever had a flag row, deleted ones included.
    WithFlags,
}

/// The database behind the caches.
pub trait DefinitionDatabase: Send + Sync {
    /// The team of a project token (T1); `None`: no team has it.
    fn team_by_token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<TeamRow>, DatabaseError>>;

    /// Ids of the teams, ascending.
    fn team_ids(&self, which: TeamSelection) -> BoxFuture<'_, Result<Vec<i32>, DatabaseError>>;

    /// One team's rows, all from one transaction's snapshot; `None`: no such team.
    fn project_rows(&self, team_id: i32) -> BoxFuture<'_, Result<Option<ProjectRows>, DatabaseError>>;

    /// Cohorts of a team that are not deleted (C1), for entries that were written without cohorts.
    fn cohorts(&self, team_id: i32) -> BoxFuture<'_, Result<Vec<CohortRow>, DatabaseError>>;

    /// Group types of a team by index (G1).
    fn group_types(&self, team_id: i32) -> BoxFuture<'_, Result<Vec<(i32, String)>, DatabaseError>>;

    /// Group types of a project by index (G2), for the builder.
    fn project_group_types(
        &self,
        project_id: i64,
    ) -> BoxFuture<'_, Result<Vec<(i32, String)>, DatabaseError>>;
}

/// Why the database gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseError {
    /// No connection, or its breaker is open.
    Unavailable(String),
    /// No connection or no answer in time.
    Timeout,
    /// Rows that cannot be read.
    Corrupt(String),
    /// Any other failure.
    Failed(String),
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(formatter, "database unavailable: {detail}"),
            Self::Timeout => formatter.write_str("database timed out"),
            Self::Corrupt(detail) => write!(formatter, "rows unreadable: {detail}"),
            Self::Failed(detail) => write!(formatter, "database failed: {detail}"),
        }
    }
}

impl std::error::Error for DatabaseError {}
