//! `filters` of a flag (`evaluation.md` 2.2 to 2.4). Unknown keys are none of our business here.

use serde_json::{Map, Value};

use super::notes::Notes;
use super::path::Path;
use super::property;
use super::references::References;

/// Checks everything whose shape decides whether the flag can be parsed, and warns of what cannot work.
pub(super) fn check(path: &Path<'_>, filters: &Value, references: &mut References, notes: &mut Notes) {
    let Some(filters) = object(path, filters, notes) else {
        return;
    };
    for key in ["groups", "super_groups", "holdout_groups"] {
        check_condition_sets(&path.key(key), filters.get(key), references, notes);
    }
    check_multivariate(path, filters, notes);
    check_group_type(
        &path.key("aggregation_group_type_index"),
        filters,
        references,
        notes,
    );
    check_boolean(path, filters, "feature_enrollment", notes);
    check_boolean(path, filters, "early_exit", notes);
    check_holdout(&path.key("holdout"), filters.get("holdout"), notes);
    if filters
        .get("payloads")
        .is_some_and(|payloads| !payloads.is_object() && !payloads.is_null())
    {
        notes.warn(
            &path.key("payloads"),
            "is not an object, so the flag has no payloads",
        );
    }
    if filters
        .get("version")
        .is_some_and(|version| !version.is_null() && version.as_f64() != Some(1.0))
    {
        notes.warn(
            &path.key("version"),
            "is a configuration format that is not supported: the flag answers with an error",
        );
    }
}

fn check_condition_sets(
    path: &Path<'_>,
    sets: Option<&Value>,
    references: &mut References,
    notes: &mut Notes,
) {
    let Some(sets) = array(path, sets, notes) else {
        return;
    };
    for (index, set) in sets.iter().enumerate() {
        let path = path.index(index);
        let Some(set) = object(&path, set, notes) else {
            continue;
        };
        check_percentage(
            &path.key("rollout_percentage"),
            set.get("rollout_percentage"),
            false,
            notes,
        );
        if set
            .get("variant")
            .is_some_and(|variant| !variant.is_string() && !variant.is_null())
        {
            notes.problem(
                &path.key("variant"),
                &set["variant"].to_string(),
                "a variant key as text, or null",
            );
        }
        check_group_type(&path.key("aggregation_group_type_index"), set, references, notes);
        let properties_path = path.key("properties");
        let Some(properties) = array(&properties_path, set.get("properties"), notes) else {
            continue;
        };
        for (index, filter) in properties.iter().enumerate() {
            property::check(&properties_path.index(index), filter, references, notes);
        }
    }
}

fn check_multivariate(path: &Path<'_>, filters: &Map<String, Value>, notes: &mut Notes) {
    let path = path.key("multivariate");
    let Some(multivariate) = filters.get("multivariate").filter(|value| !value.is_null()) else {
        return;
    };
    let Some(multivariate) = object(&path, multivariate, notes) else {
        return;
    };
    let path = path.key("variants");
    let Some(variants) = array(&path, multivariate.get("variants"), notes) else {
        return;
    };
    let mut total = 0.0;
    let mut keys: Vec<&str> = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let path = path.index(index);
        let Some(variant) = object(&path, variant, notes) else {
            continue;
        };
        match variant.get("key").and_then(Value::as_str) {
            Some(key) if keys.contains(&key) => {
                notes.warn(&path.key("key"), "is the key of an earlier variant")
            }
            Some(key) => keys.push(key),
            None => notes.problem(
                &path.key("key"),
                &shown(variant.get("key")),
                "the variant key as text",
            ),
        }
        check_percentage(
            &path.key("rollout_percentage"),
            variant.get("rollout_percentage"),
            true,
            notes,
        );
        total += variant
            .get("rollout_percentage")
            .and_then(Value::as_f64)
            .unwrap_or(0.0);
    }
    if !variants.is_empty() && (total - 100.0_f64).abs() > 1e-6 {
        notes.warn(&path, format!("shares add up to {total} percent, not 100"));
    }
}

fn check_holdout(path: &Path<'_>, holdout: Option<&Value>, notes: &mut Notes) {
    let Some(holdout) = holdout.filter(|value| !value.is_null()) else {
        return;
    };
    let Some(holdout) = object(path, holdout, notes) else {
        return;
    };
    if holdout.get("id").and_then(Value::as_i64).is_none() {
        notes.problem(&path.key("id"), &shown(holdout.get("id")), "a 64-bit integer");
    }
    check_percentage(
        &path.key("exclusion_percentage"),
        holdout.get("exclusion_percentage"),
        true,
        notes,
    );
}

/// Numbers outside 0 to 100 are only odd: the engine defines what they do.
fn check_percentage(path: &Path<'_>, value: Option<&Value>, required: bool, notes: &mut Notes) {
    match value {
        None | Some(Value::Null) if !required => {}
        Some(Value::Number(number)) => {
            if !number
                .as_f64()
                .is_some_and(|percent| (0.0..=100.0).contains(&percent))
            {
                notes.warn(path, format!("{number} is outside 0 to 100 percent"));
            }
        }
        other => notes.problem(path, &shown(other), "a number of percent"),
    }
}

/// The index of an object's group aggregation: absent, null or a 32-bit integer.
pub(super) fn check_group_type(
    path: &Path<'_>,
    holder: &Map<String, Value>,
    references: &mut References,
    notes: &mut Notes,
) {
    let Path::Key(_, key) = path else { return };
    let Some(value) = holder.get(*key).filter(|value| !value.is_null()) else {
        return;
    };
    match value.as_i64().and_then(|index| i32::try_from(index).ok()) {
        Some(index) => references.group_type(path, index),
        None => notes.problem(
            path,
            &value.to_string(),
            "a group type index (32-bit integer), or null",
        ),
    }
}

/// An optional toggle.
pub(super) fn check_boolean(path: &Path<'_>, holder: &Map<String, Value>, key: &str, notes: &mut Notes) {
    let value = holder.get(key);
    if value.is_some_and(|value| !value.is_boolean() && !value.is_null()) {
        notes.problem(&path.key(key), &shown(value), "true, false or null");
    }
}

/// The members of an object, or a problem.
pub(super) fn object<'v>(
    path: &Path<'_>,
    value: &'v Value,
    notes: &mut Notes,
) -> Option<&'v Map<String, Value>> {
    if value.as_object().is_none() {
        notes.problem(path, &value.to_string(), "an object");
    }
    value.as_object()
}

fn array<'v>(path: &Path<'_>, value: Option<&'v Value>, notes: &mut Notes) -> Option<&'v Vec<Value>> {
    let value = value.filter(|value| !value.is_null())?;
    if !value.is_array() {
        notes.problem(path, &value.to_string(), "an array");
    }
    value.as_array()
}

/// The value as JSON text; nothing when absent.
pub(super) fn shown(value: Option<&Value>) -> String {
    value.map(Value::to_string).unwrap_or_default()
}
