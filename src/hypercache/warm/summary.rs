//! What a run did.

use tokio::task::JoinError;

use crate::hypercache::Entry;

/// Failures that are kept; more are only counted.
const FAILURES_MAX: usize = 1000;

/// One thing that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmFailure {
    /// The team; `None` when its task ended without an answer.
    pub team_id: Option<i32>,
    /// The entry; `None`: the rows could not be read.
    pub entry: Option<Entry>,
    /// What the store said.
    pub error: String,
}

/// Counts of a run. In a dry run `written` and `missing` are what would have been written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WarmSummary {
    /// Teams done, failed ones included.
    pub teams: usize,
    /// Entries written.
    pub written: usize,
    /// Entries left alone because they are as they should be.
    pub unchanged: usize,
    /// Entries not written on purpose: an emptied group type mapping, or a configuration that Django wrote.
    pub withheld: usize,
    /// Sentinels written for ids without a team.
    pub missing: usize,
    /// Failures, kept or not.
    pub failed: usize,
    /// The first 1000 of them.
    pub failures: Vec<WarmFailure>,
}

impl WarmSummary {
    pub(super) fn fail(&mut self, failure: WarmFailure) {
        self.failed += 1;
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(failure);
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.teams += other.teams;
        self.written += other.written;
        self.unchanged += other.unchanged;
        self.withheld += other.withheld;
        self.missing += other.missing;
        self.failed += other.failed;
        let room = FAILURES_MAX.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.into_iter().take(room));
    }

    pub(super) fn panicked(&mut self, error: &JoinError) {
        self.teams += 1;
        self.fail(WarmFailure {
            team_id: None,
            entry: None,
            error: error.to_string(),
        });
    }
}
