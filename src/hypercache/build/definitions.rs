//! `flags_with_cohorts.json`: what SDKs evaluate locally with (`storage.md` 4.4).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::DOCUMENT_BYTES_MAX;
use super::dependency::rewrite;
use super::flag::Flag;
use crate::hypercache::cohorts::{Cohort, reachable, seeds};
use crate::hypercache::database::ProjectRows;
use crate::hypercache::json::{Json, object};

/// Canonical text of `flags_with_cohorts.json`. Whether an empty mapping may be written is the caller's decision.
#[must_use]
pub fn definitions_payload(rows: &ProjectRows, group_types: &[(i32, String)]) -> String {
    let owned = |id: &i32| rows.survey_flag_ids.contains(id);
    let mut flags: Vec<Flag<'_>> = rows
        .flags
        .iter()
        .filter(|row| !owned(&row.id))
        .map(Flag::read)
        .collect();
    flags.sort_by(|one, other| one.row.key.cmp(&other.row.key));
    let cohorts = cohorts(rows, &flags);
    rewrite(&mut flags);
    let mapping = group_types
        .iter()
        .map(|(index, name)| (Cow::Owned(index.to_string()), Json::from(name.as_str())));
    object([
        (
            "flags",
            Json::Array(flags.into_iter().map(Flag::into_json).collect()),
        ),
        ("group_type_mapping", Json::Object(mapping.collect())),
        ("cohorts", cohorts),
        (
            "minimal_flag_called_events",
            rows.team.minimal_flag_called_events.into(),
        ),
        (
            "property_matching_version",
            Json::integer(rows.team.property_matching_version.into()),
        ),
    ])
    .canonical()
}

/// Inner groups of the dynamic cohorts that flags reach, inactive flags too, of the whole project.
fn cohorts<'a>(rows: &'a ProjectRows, flags: &[Flag<'_>]) -> Json<'a> {
    let all: BTreeMap<i64, Cohort<'a>> = rows
        .cohorts
        .iter()
        .filter(|row| !row.deleted && !row.is_static)
        .map(|row| (row.id.into(), Cohort::read(row, DOCUMENT_BYTES_MAX)))
        .collect();
    let seeds = flags.iter().flat_map(|flag| seeds(&flag.filters)).collect();
    let members = reachable(seeds, &all, usize::MAX).into_iter();
    let members = members.filter_map(|(id, cohort)| {
        let group = cohort.filters.get("properties")?;
        Some((Cow::Owned(id.to_string()), group.clone()))
    });
    Json::Object(members.collect())
}
