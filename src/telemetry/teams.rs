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

/// Teams with series of their own: each has two of some metrics, by `flags_disabled`, and all must fit.
const TEAMS_MAX: usize = SERIES_MAX / 2 - FIRST;

/// Handles of one label value, made when the first request needs them.
#[derive(Debug)]
struct TeamHandles {
    /// By `flags_disabled`.
    requests: [Counter; 2],
    durations_ms: [Histogram; 2],
    faults: Counter,
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
        let beyond = (100..2000)
            .map(|id| table.slot(id))
            .filter(|slot| *slot == TeamSlot::OTHER);
        assert_eq!(beyond.count(), 1900 - (TEAMS_MAX - 2));
        assert_eq!(table.slot(7), seven);
    }
}
