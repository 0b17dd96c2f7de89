//! A parsed project document.

use super::notes::Notes;

/// One project, checked on its own.
#[derive(Debug, Default)]
pub struct ProjectDocument {
    /// Where the document stands in the input: `$` or `$[2]`.
    pub path: String,
    /// The team.
    pub team: DocumentTeam,
    /// Flags in order.
    pub flags: Vec<DocumentFlag>,
    /// Cohorts in order.
    pub cohorts: Vec<DocumentCohort>,
    /// Group type index and name, by index.
    pub group_types: Vec<(i32, String)>,
    /// Stored groups.
    pub groups: Vec<DocumentGroup>,
    /// Stored persons.
    pub persons: Vec<DocumentPerson>,
    /// Personal API keys that may read this project.
    pub personal_api_keys: Vec<DocumentKey>,
    /// Remote-config document as JSON text.
    pub config: Option<String>,
    /// Resources over quota, sorted, each once.
    pub quota_limited: Vec<String>,
}

/// `team`: columns of `posthog_team`, and of `posthog_teamfeatureflagsconfig`.
#[derive(Debug, Default)]
pub struct DocumentTeam {
    /// Given out by the store when absent.
    pub id: Option<i32>,
    /// The team id when absent.
    pub project_id: Option<i64>,
    /// Derived from the token when absent.
    pub uuid: Option<String>,
    /// Derived from the project when absent.
    pub organization_id: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Project token.
    pub api_token: String,
    /// `phs_...`
    pub secret_api_token: Option<String>,
    /// Previous secret, still accepted.
    pub secret_api_token_backup: Option<String>,
    /// IANA name.
    pub timezone: Option<String>,
    /// 0 off, 1 stateless, 2 stateful.
    pub cookieless_server_hash_mode: i64,
    /// `posthog_teamfeatureflagsconfig`, when a member of it is given.
    pub minimal_flag_called_events: Option<bool>,
    /// `posthog_teamfeatureflagsconfig`.
    pub property_matching_version: Option<i64>,
    /// Further columns that were given, by name.
    pub settings: Vec<(&'static str, Setting)>,
}

/// The value of a further team column.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// `boolean`
    Boolean(bool),
    /// `integer`
    Integer(i64),
    /// `varchar`, or a JSON or array column as its JSON text.
    Text(String),
}

/// A flag row.
#[derive(Debug, Default)]
pub struct DocumentFlag {
    /// Place in `flags`.
    pub position: usize,
    /// Given out by the store, stable by key, when absent.
    pub id: Option<i32>,
    /// Response key.
    pub key: String,
    /// Display name.
    pub name: String,
    /// `filters` as it came.
    pub filters: String,
    /// Absent means inactive (`evaluation.md` 2.1).
    pub active: bool,
    /// Tombstone.
    pub deleted: bool,
    /// Archived flags must be inactive.
    pub archived: bool,
    /// Row version.
    pub version: Option<i64>,
    /// Experience continuity.
    pub ensure_experience_continuity: Option<bool>,
    /// With encrypted payloads: not loaded for evaluation.
    pub is_remote_configuration: Option<bool>,
    /// See `is_remote_configuration`.
    pub has_encrypted_payloads: Option<bool>,
    /// Not used in evaluation.
    pub has_enriched_analytics: Option<bool>,
    /// `client`, `server`, or all.
    pub evaluation_runtime: Option<String>,
    /// `device_id` or `distinct_id`.
    pub bucketing_identifier: Option<String>,
    /// Sorted, each once.
    pub evaluation_contexts: Vec<String>,
    /// Reported in metadata when given.
    pub has_experiment: Option<bool>,
}

/// A cohort row.
#[derive(Debug, Default)]
pub struct DocumentCohort {
    /// Place in `cohorts`.
    pub position: usize,
    /// Given out by the store, stable by name, when absent.
    pub id: Option<i32>,
    /// Display name.
    pub name: Option<String>,
    /// Display text.
    pub description: String,
    /// Tombstone.
    pub deleted: bool,
    /// Membership is stored.
    pub is_static: bool,
    /// Definition as JSON text.
    pub filters: Option<String>,
    /// HogQL definition as JSON text; not evaluated.
    pub query: Option<String>,
    /// Legacy definition as JSON text.
    pub groups: Option<String>,
    /// `static`, `person_property`, ...
    pub cohort_type: Option<String>,
    /// System cohort kind.
    pub kind: Option<String>,
    /// Recalculation counter.
    pub version: Option<i64>,
    /// Distinct ids of the members, static cohorts only.
    pub members: Vec<String>,
}

/// A group row.
#[derive(Debug)]
pub struct DocumentGroup {
    /// Place in `groups`.
    pub position: usize,
    /// 0 to 5.
    pub group_type_index: i32,
    /// Key within the type.
    pub group_key: String,
    /// Object as JSON text.
    pub properties: String,
}

/// A person with its distinct ids.
#[derive(Debug, Default)]
pub struct DocumentPerson {
    /// Place in `persons`.
    pub position: usize,
    /// At least one.
    pub distinct_ids: Vec<String>,
    /// Object as JSON text; absent leaves stored ones.
    pub properties: Option<String>,
    /// Derived from the first distinct id when absent.
    pub uuid: Option<String>,
    /// Absent leaves the stored value.
    pub is_identified: Option<bool>,
    /// ISO 8601; absent leaves the stored value.
    pub created_at: Option<String>,
    /// Flag key and hash key.
    pub hash_key_overrides: Vec<(String, String)>,
}

/// A personal API key. The value itself is not kept beyond the parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentKey {
    /// JSON path, for clashes with stored keys.
    pub path: String,
    /// `sha256$` and 64 hex digits.
    pub secure_value: String,
    /// Display name.
    pub label: String,
    /// `None`: JSON null.
    pub scopes: Option<Vec<String>>,
    /// Owner.
    pub user_id: i32,
    /// Team ids, JSON array.
    pub scoped_teams: Option<Vec<i32>>,
    /// Organization ids.
    pub scoped_organizations: Option<Vec<String>>,
}

impl ProjectDocument {
    /// Reports a problem at a path below this document.
    pub fn problem(&self, below: &str, value: &str, expected: impl Into<String>, notes: &mut Notes) {
        notes.problem_at(format!("{}{below}", self.path), value, expected);
    }
}
