//! Property filters (`evaluation.md` 2.5), in flag conditions and in cohort definitions.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::filters::{check_boolean, check_group_type, object, shown};
use super::notes::Notes;
use super::path::Path;
use super::references::References;
use crate::definition::{FilterType, OperatorName};

/// Checks a filter of a flag condition: what the flag parser rejects is a problem.
pub(super) fn check(path: &Path<'_>, filter: &Value, references: &mut References, notes: &mut Notes) {
    let Some(filter) = object(path, filter, notes) else {
        return;
    };
    if !filter.get("key").is_some_and(Value::is_string) {
        notes.problem(
            &path.key("key"),
            &shown(filter.get("key")),
            "the property name as text",
        );
    }
    let filter_type = filter
        .get("type")
        .and_then(|value| FilterType::deserialize(value).ok());
    if filter_type.is_none() {
        let expected = "person, group, cohort, flag or person_metadata";
        notes.problem(&path.key("type"), &shown(filter.get("type")), expected);
    }
    let given = filter.get("operator").filter(|value| !value.is_null());
    let operator = given.and_then(|value| OperatorName::deserialize(value).ok());
    if let Some(given) = given
        && operator.is_none()
    {
        notes.problem(
            &path.key("operator"),
            &given.to_string(),
            "an operator name (exact, icontains, gt, in, ...)",
        );
    }
    check_boolean(path, filter, "negation", notes);
    check_group_type(&path.key("group_type_index"), filter, references, notes);
    if let Some(filter_type) = filter_type {
        warn(path, filter, filter_type, operator, references, notes);
    }
}

/// Warns of filters that are well formed and cannot do what their author wants.
fn warn(
    path: &Path<'_>,
    filter: &Map<String, Value>,
    filter_type: FilterType,
    operator: Option<OperatorName>,
    references: &mut References,
    notes: &mut Notes,
) {
    let value = filter.get("value").unwrap_or(&Value::Null);
    match filter_type {
        FilterType::Cohort => {
            warn_cohort(path, value, operator, references, notes);
        }
        FilterType::Flag => {
            match filter
                .get("key")
                .and_then(Value::as_str)
                .and_then(|key| key.parse::<i32>().ok())
            {
                Some(id) => references.flag(&path.key("key"), id),
                None => notes.warn(
                    &path.key("key"),
                    "is not a flag id as decimal text, so the filter never matches",
                ),
            }
            if operator != Some(OperatorName::FlagEvaluatesTo) {
                notes.warn(
                    &path.key("operator"),
                    "of a flag filter is not flag_evaluates_to, so it never matches",
                );
            }
        }
        FilterType::Person | FilterType::Group | FilterType::PersonMetadata => {
            warn_regex(path, value, operator, notes);
        }
    }
}

/// Warns of a cohort reference that answers with an error reason, or never matches.
pub(super) fn warn_cohort(
    path: &Path<'_>,
    value: &Value,
    operator: Option<OperatorName>,
    references: &mut References,
    notes: &mut Notes,
) {
    match value.as_i64() {
        Some(id) => references.cohort(&path.key("value"), id),
        None => notes.warn(
            &path.key("value"),
            "is not a cohort id as integer: the flag answers with an error",
        ),
    }
    if !matches!(operator, None | Some(OperatorName::In | OperatorName::NotIn)) {
        notes.warn(
            &path.key("operator"),
            "of a cohort filter is neither in nor not_in, so it never matches",
        );
    }
}

/// Warns of a regular expression that cannot be compiled.
pub(super) fn warn_regex(path: &Path<'_>, value: &Value, operator: Option<OperatorName>, notes: &mut Notes) {
    if !matches!(operator, Some(OperatorName::Regex | OperatorName::NotRegex)) {
        return;
    }
    if let Some(pattern) = value.as_str()
        && let Err(error) = fancy_regex::Regex::new(pattern)
    {
        let reason = error.to_string().replace('\n', " ");
        notes.warn(
            &path.key("value"),
            format!("is not a regular expression, so the filter never matches ({reason})"),
        );
    }
}
