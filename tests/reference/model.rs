//! A case as data, and thin views of the definitions in it (`evaluation.md` 2).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One evaluation: definitions, stored facts and a request after parsing. Reads and writes the format of
/// `tests/golden/engine_examples.json`; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    #[serde(default)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default)]
    pub flags: Vec<Value>,
    #[serde(default)]
    pub cohorts: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_metadata: Option<Value>,
    /// After the cut to 200 characters.
    pub distinct_id: String,
    #[serde(default)]
    pub device_id: Option<String>,
    #[serde(default)]
    pub anon_distinct_id: Option<String>,
    #[serde(default)]
    pub person_properties: Map<String, Value>,
    #[serde(default)]
    pub groups: Map<String, Value>,
    #[serde(default)]
    pub group_properties: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<StoredPerson>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub stored_group_properties: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub group_type_mapping: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub hash_key_overrides: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag_keys: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_runtime: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_contexts: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_evaluate_survey_feature_flags: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// The person row of the distinct id.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StoredPerson {
    /// Anything that is not an object counts as empty (8.2).
    #[serde(default)]
    pub properties: Value,
    #[serde(default)]
    pub static_cohorts: Vec<i64>,
}

/// Clock of a case that does not set one.
pub const DEFAULT_NOW: &str = "2024-07-15T12:00:00+00:00";

impl Case {
    /// The flags that can be parsed (2.5); the others are dropped one by one.
    pub fn usable_flags(&self) -> Vec<Flag<'_>> {
        self.flags.iter().map(Flag).filter(|flag| flag.parses()).collect()
    }

    /// Name of a group type index.
    pub fn group_type(&self, index: i64) -> Option<&str> {
        self.group_type_mapping
            .iter()
            .find(|(_, stored)| stored.as_i64() == Some(index))
            .map(|(name, _)| name.as_str())
    }

    /// The request's usable key of a group type index as text (9.4).
    pub fn group_key(&self, index: i64) -> Option<String> {
        super::hash::group_key_text(self.groups.get(self.group_type(index)?))
    }

    /// The request's device id; an empty one is none.
    pub fn device(&self) -> Option<&str> {
        self.device_id.as_deref().filter(|id| !id.is_empty())
    }
}

/// A value that is not JSON null.
fn given<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn list<'a>(object: &'a Value, name: &str) -> Vec<&'a Value> {
    object
        .get(name)
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |items| items.iter().collect())
}

/// A flag (2.1).
#[derive(Debug, Clone, Copy)]
pub struct Flag<'a>(pub &'a Value);

impl<'a> Flag<'a> {
    pub fn id(self) -> i64 {
        self.0["id"].as_i64().unwrap_or_default()
    }

    pub fn key(self) -> &'a str {
        self.0["key"].as_str().unwrap_or_default()
    }

    pub fn is(self, name: &str) -> bool {
        self.0[name] == Value::Bool(true)
    }

    pub fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub fn filters(self) -> &'a Value {
        &self.0["filters"]
    }

    pub fn conditions(self) -> Vec<Condition<'a>> {
        list(self.filters(), "groups")
            .into_iter()
            .map(Condition)
            .collect()
    }

    pub fn super_groups(self) -> Vec<Condition<'a>> {
        list(self.filters(), "super_groups")
            .into_iter()
            .map(Condition)
            .collect()
    }

    pub fn holdout_groups(self) -> Vec<Condition<'a>> {
        list(self.filters(), "holdout_groups")
            .into_iter()
            .map(Condition)
            .collect()
    }

    /// The flag-level aggregation; none means person.
    pub fn aggregation(self) -> Option<i64> {
        given(self.filters(), "aggregation_group_type_index").and_then(Value::as_i64)
    }

    pub fn feature_enrollment(self) -> bool {
        self.filters()["feature_enrollment"] == Value::Bool(true)
    }

    pub fn early_exit(self) -> bool {
        self.filters()["early_exit"] == Value::Bool(true)
    }

    pub fn holdout(self) -> Option<&'a Value> {
        self.filters()
            .get("holdout")
            .filter(|holdout| holdout.is_object())
    }

    pub fn by_device(self) -> bool {
        self.text("bucketing_identifier") == Some("device_id")
    }

    /// Variant keys and shares in stored order.
    pub fn variants(self) -> Vec<(&'a str, f64)> {
        list(&self.filters()["multivariate"], "variants")
            .into_iter()
            .filter_map(|variant| Some((variant["key"].as_str()?, variant["rollout_percentage"].as_f64()?)))
            .collect()
    }

    /// The payload of a key; JSON null is no payload.
    pub fn payload(self, key: &str) -> Option<Value> {
        self.filters()["payloads"]
            .as_object()?
            .get(key)
            .filter(|value| !value.is_null())
            .cloned()
    }

    /// `filters.version` other than absent or 1 is a format that is not evaluated (section 19).
    pub fn has_unsupported_version(self) -> bool {
        given(self.filters(), "version").is_some_and(|version| version.as_i64() != Some(1))
    }

    /// 7.1.
    pub fn has_continuity(self) -> bool {
        self.is("ensure_experience_continuity") && self.aggregation().is_none() && !self.by_device()
    }

    /// Contexts under either name (2.1).
    pub fn contexts(self) -> Vec<&'a str> {
        let name = if self.0.get("evaluation_contexts").is_some() {
            "evaluation_contexts"
        } else {
            "evaluation_tags"
        };
        list(self.0, name).into_iter().filter_map(Value::as_str).collect()
    }

    /// Ids this flag depends on (6.1).
    pub fn dependencies(self) -> Vec<i64> {
        self.conditions()
            .into_iter()
            .flat_map(Condition::filters)
            .filter(|filter| filter.kind() == "flag")
            .filter_map(Filter::target_flag)
            .collect()
    }

    /// Whether every filter has a known type and operator (2.5).
    pub fn parses(self) -> bool {
        [self.conditions(), self.super_groups(), self.holdout_groups()]
            .into_iter()
            .flatten()
            .flat_map(Condition::filters)
            .all(Filter::parses)
    }
}

/// A condition set (2.3).
#[derive(Debug, Clone, Copy)]
pub struct Condition<'a>(pub &'a Value);

impl<'a> Condition<'a> {
    pub fn filters(self) -> Vec<Filter<'a>> {
        list(self.0, "properties").into_iter().map(Filter).collect()
    }

    /// Percent as stored; none when null or absent.
    pub fn rollout(self) -> Option<f64> {
        self.0.get("rollout_percentage").and_then(Value::as_f64)
    }

    pub fn variant(self) -> Option<&'a str> {
        self.0.get("variant").and_then(Value::as_str)
    }

    /// The effective aggregation: own key if present, otherwise that of the flag.
    pub fn aggregation(self, flag: Flag<'_>) -> Option<i64> {
        match self.0.get("aggregation_group_type_index") {
            Some(own) => own.as_i64(),
            None => flag.aggregation(),
        }
    }
}

/// Operators of 2.5.
pub const OPERATORS: [&str; 35] = [
    "exact",
    "is_not",
    "icontains",
    "not_icontains",
    "icontains_multi",
    "not_icontains_multi",
    "starts_with",
    "not_starts_with",
    "ends_with",
    "not_ends_with",
    "regex",
    "not_regex",
    "gt",
    "gte",
    "lt",
    "lte",
    "between",
    "not_between",
    "semver_gt",
    "semver_gte",
    "semver_lt",
    "semver_lte",
    "semver_eq",
    "semver_neq",
    "semver_tilde",
    "semver_caret",
    "semver_wildcard",
    "is_set",
    "is_not_set",
    "is_date_exact",
    "is_date_after",
    "is_date_before",
    "in",
    "not_in",
    "flag_evaluates_to",
];

/// A property filter (2.5).
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a>(pub &'a Value);

impl<'a> Filter<'a> {
    pub fn key(self) -> &'a str {
        self.0["key"].as_str().unwrap_or_default()
    }

    pub fn kind(self) -> &'a str {
        self.0["type"].as_str().unwrap_or_default()
    }

    pub fn operator(self) -> Option<&'a str> {
        self.0.get("operator").and_then(Value::as_str)
    }

    /// JSON null is the same as absent.
    pub fn value(self) -> Option<&'a Value> {
        given(self.0, "value")
    }

    pub fn negation(self) -> bool {
        self.0["negation"] == Value::Bool(true)
    }

    pub fn group_type_index(self) -> Option<i64> {
        self.0.get("group_type_index").and_then(Value::as_i64)
    }

    /// The target of a flag filter; none when the key is not an integer. Ids have 32 bits (2.1).
    pub fn target_flag(self) -> Option<i64> {
        self.key().parse::<i32>().ok().map(i64::from)
    }

    fn parses(self) -> bool {
        self.0["key"].is_string()
            && ["person", "group", "cohort", "flag", "person_metadata"].contains(&self.kind())
            && given(self.0, "operator")
                .is_none_or(|name| name.as_str().is_some_and(|name| OPERATORS.contains(&name)))
    }
}
