//! Series of single teams: a number a team, kept with the team, so that no request looks anything up by name.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use super::metrics::SERIES_MAX;
use crate::config::TeamSet;

/// Number of a team's series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TeamSlot(pub u16);

impl TeamSlot {
    /// No team is known yet, or there is none.
    pub const NOT_AVAILABLE: Self = Self(0);
    /// All teams that metrics do not name (`TEAM_IDS_TO_TRACK`).
    pub const UNKNOWN: Self = Self(1);
    /// All teams beyond the bound.
    pub const OTHER: Self = Self(2);
}

/// First number of a team of its own.
const FIRST: usize = 3;

/// The label's values of the numbers below [`FIRST`].
const SHARED_LABELS: [&str; FIRST] = ["not_available", "unknown", "other"];

/// Teams with series of their own: each has two of the metrics that every request counts, and all must fit. Of metrics with more,
/// the registry's own bound sends what is beyond it to `other`.
const TEAMS_MAX: usize = SERIES_MAX / 2 - FIRST;

/// Handles of one label value, made when the first request needs them.
#[derive(Debug)]
struct TeamHandles {
    /// By `flags_disabled`.
    requests: [Counter; 2],
    durations_ms: [Histogram; 2],
    faults: Counter,
    /// By [`Operation`]; made when the first request of the team asks for stored data.
    operations: [OnceLock<Histogram>; Operation::ALL.len()],
}

/// What a request asked of a database, label `operation_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A person's row.
    Person,
    /// Rows of groups.
    Group,
    /// Static cohort membership.
    Cohort,
    /// Hash key overrides.
    HashKey,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Person, Self::Group, Self::Cohort, Self::HashKey];

    fn name(self) -> &'static str {
        match self {
            Self::Person => "person_query",
            Self::Group => "group_query",
            Self::Cohort => "cohort_query",
            Self::HashKey => "hash_key_query",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct TeamTable {
    tracked: TeamSet,
    handles: Box<[OnceLock<TeamHandles>]>,
    numbers: Mutex<HashMap<i32, u16>>,
}

impl TeamTable {
    /// For these teams (`TEAM_IDS_TO_TRACK`).
    #[must_use]
    pub fn new(tracked: TeamSet) -> Self {
        Self {
            tracked,
            handles: (0..FIRST + TEAMS_MAX).map(|_| OnceLock::new()).collect(),
            numbers: Mutex::default(),
        }
    }

    /// The number of a team, the same for as long as the process lives. Takes a lock: to be kept with the team.
    pub fn slot(&self, team_id: i32) -> TeamSlot {
        if !self.tracked.contains(team_id) {
            return TeamSlot::UNKNOWN;
        }
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let next = numbers.len();
        if let Some(number) = numbers.get(&team_id) {
            return TeamSlot(*number);
        }
        match u16::try_from(FIRST + next) {
            Ok(number) if next < TEAMS_MAX => {
                numbers.insert(team_id, number);
                TeamSlot(number)
            }
            _ => TeamSlot::OTHER,
        }
    }

    /// Counts a request.
    pub fn record(
        &self,
        team: TeamSlot,
        team_id: Option<i32>,
        flags_disabled: bool,
        took: Duration,
        is_fault: bool,
    ) {
        let Some(handles) = self.handles.get(usize::from(team.0)) else {
            return;
        };
        let handles = handles.get_or_init(|| TeamHandles::new(&label(team, team_id)));
        let which = usize::from(flags_disabled);
        handles.requests[which].increment(1);
        handles.durations_ms[which].record(took.as_secs_f64() * 1_000.0);
        if is_fault {
            handles.faults.increment(1);
        }
    }

    /// Counts how much of a kind a request asked of a database, after [`TeamTable::record`].
    pub fn record_operation(&self, team: TeamSlot, team_id: Option<i32>, operation: Operation, times: u32) {
        let handles = self.handles.get(usize::from(team.0)).and_then(OnceLock::get);
        if let Some(handles) = handles {
            let histogram = handles.operations[operation as usize].get_or_init(|| {
                histogram!(
                    "flags_db_operations_per_request",
                    "team_id" => label(team, team_id), "operation_type" => operation.name()
                )
            });
            histogram.record(times);
        }
    }
}

fn label(team: TeamSlot, team_id: Option<i32>) -> String {
    match (SHARED_LABELS.get(usize::from(team.0)), team_id) {
        (Some(shared), _) => (*shared).to_owned(),
        (None, Some(id)) => id.to_string(),
        (None, None) => SHARED_LABELS[usize::from(TeamSlot::UNKNOWN.0)].to_owned(),
    }
}

impl TeamHandles {
    #[cold]
    fn new(team: &str) -> Self {
        let by_disabled = ["false", "true"];
        Self {
            requests: by_disabled.map(
                |disabled| counter!("flags_requests_total", "flags_disabled" => disabled, "team_id" => team.to_owned()),
            ),
            durations_ms: by_disabled.map(|disabled| {
                histogram!("flags_requests_duration_ms", "flags_disabled" => disabled, "team_id" => team.to_owned())
            }),
            faults: counter!("flags_request_faults_total", "team_id" => team.to_owned()),
            operations: Default::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_keeps_its_number_and_others_share_theirs() {
        let table = TeamTable::new(TeamSet::Only(vec![1..=9, 100..=100_000]));
        let seven = table.slot(7);
        assert_eq!(table.slot(10), TeamSlot::UNKNOWN);
        assert_ne!(table.slot(8), seven);
        assert_eq!(table.slot(7), seven);
        assert_eq!(
            (label(seven, Some(7)), label(TeamSlot::UNKNOWN, Some(10))),
            ("7".into(), "unknown".into())
        );
        let beyond = (100..1000)
            .map(|id| table.slot(id))
            .filter(|slot| *slot == TeamSlot::OTHER);
        assert_eq!(beyond.count(), 900 - (TEAMS_MAX - 2));
        assert_eq!(table.slot(7), seven);
    }
}
