//! Compares two outcomes and says where they differ.

use super::outcome::{Failure, FlagOutcome, Outcome};

/// One line a difference; empty when the outcomes agree. Any cohort error equals any other: when several
/// parts of a cohort graph are broken, the specification does not say which one is reported.
pub fn differences(expected: &Outcome, found: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    if expected.errors != found.errors {
        lines.push(format!(
            "errors flag: expected {}, found {}",
            expected.errors, found.errors
        ));
    }
    for (key, record) in &expected.flags {
        match found.flags.get(key) {
            None => lines.push(format!("{key}: no record, expected {record:?}")),
            Some(other) if !same(record, other) => {
                lines.push(format!("{key}: expected {record:?}, found {other:?}"));
            }
            Some(_) => {}
        }
    }
    for key in found
        .flags
        .keys()
        .filter(|key| !expected.flags.contains_key(*key))
    {
        lines.push(format!("{key}: unexpected record"));
    }
    lines
}

fn same(expected: &FlagOutcome, found: &FlagOutcome) -> bool {
    expected == found || (is_cohort_error(expected) && is_cohort_error(found))
}

fn is_cohort_error(record: &FlagOutcome) -> bool {
    let kinds = [
        Failure::CohortNotFound,
        Failure::CohortCycle,
        Failure::CohortFilters,
    ];
    record.failed && kinds.iter().any(|kind| kind.code() == record.reason_code)
}
