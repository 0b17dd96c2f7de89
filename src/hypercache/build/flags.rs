//! `flags.json`: what evaluation needs (`storage.md` 4.1 to 4.3).

use std::collections::{BTreeMap, BTreeSet};

use super::flag::Flag;
use super::{DOCUMENT_BYTES_MAX, document};
use crate::hypercache::cohorts::{Cohort, ROUNDS_MAX, reachable, seeds};
use crate::hypercache::database::{CohortRow, ProjectRows};
use crate::hypercache::json::{Json, object};
use crate::hypercache::metadata::{Dependencies, Metadata, direct_dependencies};

/// Canonical text of `flags.json`.
#[must_use]
pub fn flags_payload(rows: &ProjectRows) -> String {
    let mut flags: Vec<Flag<'_>> = rows.flags.iter().map(Flag::read).collect();
    flags.sort_by_key(Flag::id);
    let dependencies = keep_needed(&mut flags);
    let metadata = Metadata::compute(&dependencies).to_json(&dependencies);
    let cohorts = cohorts(rows, &flags);
    for flag in flags.iter_mut().filter(|flag| !flag.row.active) {
        flag.filters = object([("groups", Json::Array(Vec::new()))]);
    }
    object([
        (
            "flags",
            Json::Array(flags.into_iter().map(Flag::into_json).collect()),
        ),
        ("evaluation_metadata", metadata),
        ("cohorts", cohorts),
    ])
    .canonical()
}

/// Drops inactive flags that no active one refers to; dependencies of those that stay.
fn keep_needed(flags: &mut Vec<Flag<'_>>) -> Dependencies {
    let mut dependencies: Dependencies = flags
        .iter()
        .filter(|flag| flag.row.active)
        .map(|flag| (flag.id(), direct_dependencies(&flag.filters)))
        .collect();
    let named: BTreeSet<i64> = dependencies.values().flatten().copied().collect();
    flags.retain(|flag| flag.row.active || named.contains(&flag.id()));
    for flag in flags {
        dependencies.entry(flag.id()).or_default();
    }
    dependencies
}

fn cohorts<'a>(rows: &'a ProjectRows, flags: &[Flag<'_>]) -> Json<'a> {
    let all: BTreeMap<i64, Cohort<'a>> = rows
        .cohorts
        .iter()
        .filter(|row| row.team_id == rows.team.id && !row.deleted)
        .map(|row| (row.id.into(), Cohort::read(row, DOCUMENT_BYTES_MAX)))
        .collect();
    let active = flags.iter().filter(|flag| flag.row.active);
    let seeds = active.flat_map(|flag| seeds(&flag.filters)).collect();
    let wanted = reachable(seeds, &all, ROUNDS_MAX);
    Json::Array(wanted.into_values().map(cohort).collect())
}

fn cohort<'a>(cohort: &Cohort<'a>) -> Json<'a> {
    let row: &'a CohortRow = cohort.row;
    let column = |text: &'a Option<String>| document(text.as_deref(), DOCUMENT_BYTES_MAX);
    // Readers require an array here.
    let groups = match &row.groups {
        None => Json::Array(Vec::new()),
        groups => column(groups),
    };
    object([
        ("id", Json::integer(row.id.into())),
        ("name", Json::text_or_null(row.name.as_deref())),
        ("description", Json::text_or_null(row.description.as_deref())),
        ("team_id", Json::integer(row.team_id.into())),
        ("deleted", row.deleted.into()),
        ("filters", cohort.filters.clone()),
        ("query", column(&row.query)),
        ("version", Json::integer_or_null(row.version)),
        ("pending_version", Json::integer_or_null(row.pending_version)),
        ("count", Json::integer_or_null(row.count)),
        ("is_calculating", row.is_calculating.into()),
        ("is_static", row.is_static.into()),
        ("errors_calculating", Json::integer(row.errors_calculating.into())),
        ("groups", groups),
        ("created_by_id", Json::integer_or_null(row.created_by_id)),
        ("cohort_type", Json::text_or_null(row.cohort_type.as_deref())),
        ("condition_type", column(&row.condition_type)),
        (
            "last_backfill_person_properties_at",
            Json::text_or_null(row.last_backfill_person_properties_at.as_deref()),
        ),
        (
            "last_backfill_events_at",
            Json::text_or_null(row.last_backfill_events_at.as_deref()),
        ),
        (
            "last_realtime_cohort_calculation_at",
            Json::text_or_null(row.last_realtime_cohort_calculation_at.as_deref()),
        ),
    ])
}
