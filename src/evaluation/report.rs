//! What an evaluation says of itself besides the records of its flags.

use std::time::Duration;

use crate::engine::Plan;

/// What an evaluation reports besides the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EvaluationReport {
    /// `errorsWhileComputingFlags`.
    pub errors: bool,
    /// Stages that ran on the pool.
    pub parallel_stages: u32,
    /// What had to be gathered.
    pub plan: Plan,
    /// Whether the request counts as usage: a billed flag was not left out.
    pub billable: bool,
    /// The request's own properties say something else than [`RequestScope::location`].
    pub location_differs: bool,
    /// How that went.
    pub gathering: Gathering,
}

/// What was asked of the store of persons, for logs and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gathering {
    /// How long person, groups and static cohorts took, which one round trip answers; `None`: not asked for.
    pub facts: Option<Duration>,
    /// How long it took to put them in their places; `None`: there were none.
    pub merging: Option<Merging>,
    /// They could not be had.
    pub facts_failed: bool,
    /// The person was asked for.
    pub person: bool,
    /// Groups that were asked for.
    pub groups: u32,
    /// Static cohorts whose membership was asked for.
    pub static_cohorts: u32,
    /// How long continuity rows took; `None`: not asked for.
    pub continuity: Option<Duration>,
    /// What became of them.
    pub overrides: OverrideStatus,
}

/// How long stored facts took from the store's answer to the places where flags look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merging {
    /// Properties of the person.
    pub person: Duration,
    /// Membership of static cohorts.
    pub cohorts: Duration,
    /// Properties of groups.
    pub groups: Duration,
}

/// What became of a request's hash key overrides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OverrideStatus {
    /// They could not change the answer.
    #[default]
    NotAsked,
    /// There are some.
    Found,
    /// There are none.
    Empty,
    /// They could not be had.
    Failed,
}

impl OverrideStatus {
    /// Name in logs; `None` when nothing was asked.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::NotAsked => None,
            Self::Found => Some("found"),
            Self::Empty => Some("empty"),
            Self::Failed => Some("error"),
        }
    }
}
