//! `cohorts`: rows of `posthog_cohort` (`evaluation.md` 2.7 and 13).
//!
//! A definition that cannot be evaluated has an outcome of its own, so its inside yields warnings only.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::notes::Notes;
use super::object::{Object, value_of};
use super::parse::KEY_CHARS_MAX;
use super::path::Path;
use super::property::{warn_cohort, warn_regex};
use super::references::References;
use super::types::DocumentCohort;
use crate::definition::OperatorName;

/// Bookkeeping columns that no answer depends on.
const IGNORED_KEYS: [&str; 13] = [
    "pending_version",
    "count",
    "created_by_id",
    "created_at",
    "is_calculating",
    "last_calculation",
    "errors_calculating",
    "last_error_at",
    "condition_type",
    "last_backfill_person_properties_at",
    "last_backfill_events_at",
    "last_realtime_cohort_calculation_at",
    "team_id",
];

pub(super) fn read(
    path: &Path<'_>,
    raw: &RawValue,
    position: usize,
    references: &mut References,
    notes: &mut Notes,
) -> Option<DocumentCohort> {
    let mut object = Object::open(path, raw, notes)?;
    for ignored in IGNORED_KEYS {
        object.take(ignored);
    }
    let problems_before = notes.problems.len();
    let filters = object.take("filters");
    if let Some(raw) = filters
        && let Some(value) = value_of(&path.key("filters"), raw, notes)
    {
        check_definition(&path.key("filters"), &value, references, notes);
    }
    let cohort = DocumentCohort {
        position,
        id: object.id("id", notes),
        name: object.text("name", KEY_CHARS_MAX, notes),
        description: object.text("description", 1000, notes).unwrap_or_default(),
        deleted: object.boolean("deleted", notes).unwrap_or(false),
        is_static: object.boolean("is_static", notes).unwrap_or(false),
        filters: filters.map(|raw| raw.get().to_owned()),
        query: object.json("query", notes).map(str::to_owned),
        groups: object.json("groups", notes).map(str::to_owned),
        cohort_type: object.text("cohort_type", 50, notes),
        kind: object.text("kind", 50, notes),
        version: object.integer("version", i64::from(i32::MIN), i64::from(i32::MAX), notes),
        members: object.texts("members", KEY_CHARS_MAX, notes).unwrap_or_default(),
    };
    if !cohort.members.is_empty() && !cohort.is_static {
        notes.problem(
            &path.key("members"),
            "members",
            "no members, because is_static is not true",
        );
    }
    if cohort.id.is_none() && cohort.name.is_none() && notes.problems.len() == problems_before {
        notes.problem(
            path,
            raw.get(),
            "an id, or a name by which the cohort is found again",
        );
    }
    object.finish(notes);
    Some(cohort)
}

fn check_definition(path: &Path<'_>, filters: &Value, references: &mut References, notes: &mut Notes) {
    let group = match filters.get("properties") {
        Some(group @ Value::Object(_)) => group,
        // The column's empty form: a cohort without definition.
        _ if filters.as_object().is_some_and(serde_json::Map::is_empty) => return,
        _ => {
            return notes.warn(
                path,
                "has no object \"properties\": flags that use the cohort answer with an error",
            );
        }
    };
    check_group(&path.key("properties"), group, references, notes);
}

/// Walks nested groups; the depth is that of the parsed tree, which the parser bounds.
fn check_group(path: &Path<'_>, group: &Value, references: &mut References, notes: &mut Notes) {
    let Some(values) = group.get("values").and_then(Value::as_array) else {
        return notes.warn(&path.key("values"), "is not an array");
    };
    let path = path.key("values");
    for (index, member) in values.iter().enumerate() {
        let path = path.index(index);
        if member.get("values").is_some() {
            check_group(&path, member, references, notes);
        } else {
            check_leaf(&path, member, references, notes);
        }
    }
}

fn check_leaf(path: &Path<'_>, leaf: &Value, references: &mut References, notes: &mut Notes) {
    let given = leaf.get("operator").filter(|value| !value.is_null());
    let operator = given.and_then(|value| OperatorName::deserialize(value).ok());
    if given.is_some() && operator.is_none() {
        notes.warn(&path.key("operator"), "is not an operator name");
    }
    let value = leaf.get("value").unwrap_or(&Value::Null);
    match leaf.get("type").and_then(Value::as_str) {
        Some("cohort") => warn_cohort(path, value, operator, references, notes),
        Some("person" | "person_metadata") => warn_regex(path, value, operator, notes),
        other => {
            let other = other.unwrap_or("nothing");
            notes.warn(
                &path.key("type"),
                format!("is {other}, which cohorts do not evaluate: it never matches"),
            );
        }
    }
}
