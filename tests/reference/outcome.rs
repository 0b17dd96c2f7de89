//! What an evaluation yields (`evaluation.md` 2.8, 10, 16).

use std::collections::BTreeMap;

use serde_json::Value;

/// Result of one request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Records by flag key.
    pub flags: BTreeMap<String, FlagOutcome>,
    /// The errors flag.
    pub errors: bool,
}

/// Record of one flag.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagOutcome {
    pub enabled: bool,
    pub variant: Option<String>,
    pub payload: Option<Value>,
    pub reason_code: String,
    pub description: String,
    pub condition_index: Option<i64>,
    /// Whether this is an error record (16.1).
    pub failed: bool,
}

/// Reasons of 10.1 that an evaluation can end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    SuperConditionValue,
    HoldoutConditionValue,
    ConditionMatch,
    OutOfRolloutBound,
    NoConditionMatch,
    NoGroupType,
    MissingDependency,
}

impl Reason {
    pub fn code(self) -> &'static str {
        match self {
            Self::SuperConditionValue => "super_condition_value",
            Self::HoldoutConditionValue => "holdout_condition_value",
            Self::ConditionMatch => "condition_match",
            Self::OutOfRolloutBound => "out_of_rollout_bound",
            Self::NoConditionMatch => "no_condition_match",
            Self::NoGroupType => "no_group_type",
            Self::MissingDependency => "missing_dependency",
        }
    }

    pub fn score(self) -> i32 {
        match self {
            Self::SuperConditionValue => 6,
            Self::HoldoutConditionValue => 5,
            Self::ConditionMatch => 4,
            Self::OutOfRolloutBound => 3,
            Self::NoConditionMatch => 2,
            Self::NoGroupType => 1,
            Self::MissingDependency => -1,
        }
    }

    pub fn description(self, index: Option<i64>) -> String {
        match self {
            Self::SuperConditionValue => "Super condition value".to_owned(),
            Self::HoldoutConditionValue => "Holdout condition value".to_owned(),
            Self::ConditionMatch => format!("Matched condition set {}", index.unwrap_or_default() + 1),
            Self::OutOfRolloutBound => "Out of rollout bound".to_owned(),
            Self::NoConditionMatch => "No matching condition set".to_owned(),
            Self::NoGroupType => "No group type".to_owned(),
            Self::MissingDependency => "Flag cannot be evaluated due to missing dependency".to_owned(),
        }
    }
}

/// Richer texts of `no_condition_match` (10.1).
pub const GROUP_NOTE: &str =
    "No matching condition set (group conditions were not evaluated because no group type was provided)";
/// The cohort text takes precedence.
pub const COHORT_NOTE: &str = "This condition targets a behavioral or realtime cohort. Its membership is not \
     fully evaluated here, so this result can differ from the cohort's member list.";

/// Failures of one flag (16.1) that need no storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    CohortNotFound,
    CohortCycle,
    CohortFilters,
    UnsupportedVersion,
}

impl Failure {
    pub fn code(self) -> &'static str {
        match self {
            Self::CohortNotFound => "dependency_not_found_cohort",
            Self::CohortCycle => "dependency_cycle_cohort",
            Self::CohortFilters => "cohort_filters_parsing_error",
            Self::UnsupportedVersion => "flag_data_parsing_error",
        }
    }

    /// `flag_data_parsing_error` has no text in the specification; it is left empty.
    pub fn description(self) -> &'static str {
        match self {
            Self::CohortNotFound => "Cohort dependency not found",
            Self::CohortCycle => "Cohort dependency cycle detected",
            Self::CohortFilters => "Failed to parse cohort filters",
            Self::UnsupportedVersion => "",
        }
    }

    pub fn record(self) -> FlagOutcome {
        FlagOutcome {
            enabled: false,
            variant: None,
            payload: None,
            reason_code: self.code().to_owned(),
            description: self.description().to_owned(),
            condition_index: None,
            failed: true,
        }
    }
}

impl FlagOutcome {
    /// A record that is not an error.
    pub fn decided(enabled: bool, reason: Reason, index: Option<i64>) -> Self {
        Self {
            enabled,
            variant: None,
            payload: None,
            reason_code: reason.code().to_owned(),
            description: reason.description(index),
            condition_index: index,
            failed: false,
        }
    }
}
