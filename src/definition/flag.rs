//! A flag as stored: `posthog_featureflag` row and its `filters` document.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A flag row (`evaluation.md` 2.1).
#[derive(Debug, Deserialize)]
pub struct RawFlag {
    /// Row id; what dependencies name.
    pub id: i32,
    /// Owner; informational, every query is by team already.
    #[serde(default)]
    pub team_id: i32,
    /// Hash prefix and response key.
    pub key: String,
    /// Targeting.
    pub filters: RawFilters,
    /// Tombstone.
    #[serde(default)]
    pub deleted: bool,
    /// Absent means inactive.
    #[serde(default)]
    pub active: bool,
    /// Experience continuity; null is false.
    #[serde(default)]
    pub ensure_experience_continuity: Option<bool>,
    /// Row version, reported as 0 when null.
    #[serde(default)]
    pub version: Option<i32>,
    /// `client`, `server` in any letter case; anything else is all.
    #[serde(default)]
    pub evaluation_runtime: Option<String>,
    /// Contexts; `evaluation_tags` is the older name.
    #[serde(default, alias = "evaluation_tags")]
    pub evaluation_contexts: Option<Vec<String>>,
    /// Exactly `device_id` selects device bucketing.
    #[serde(default)]
    pub bucketing_identifier: Option<String>,
    /// Reported in metadata when present.
    #[serde(default)]
    pub has_experiment: Option<bool>,
}

/// `filters` of a flag (`evaluation.md` 2.2).
#[derive(Debug, Default, Deserialize)]
pub struct RawFilters {
    /// Condition sets, OR-ed in stored order.
    #[serde(default, deserialize_with = "null_default")]
    pub groups: Vec<RawConditionSet>,
    /// Variants.
    #[serde(default)]
    pub multivariate: Option<RawMultivariate>,
    /// Null: person flag.
    #[serde(default)]
    pub aggregation_group_type_index: Option<i32>,
    /// Variant key, or `true`, to payload; used only when it is an object. Kept as stored text.
    #[serde(default)]
    pub payloads: Option<sonic_rs::OwnedLazyValue>,
    /// Legacy early access: the first element counts.
    #[serde(default)]
    pub super_groups: Option<Vec<RawConditionSet>>,
    /// Early access: only `true` has an effect.
    #[serde(default)]
    pub feature_enrollment: Option<bool>,
    /// Holdout, current form.
    #[serde(default)]
    pub holdout: Option<RawHoldout>,
    /// Holdout, legacy form: the first element counts.
    #[serde(default)]
    pub holdout_groups: Option<Vec<RawConditionSet>>,
    /// Stop at the first rollout miss.
    #[serde(default)]
    pub early_exit: Option<bool>,
    /// Configuration format; anything but absent, null or 1 is not supported here.
    #[serde(default)]
    pub version: Option<Value>,
}

/// One condition set (`evaluation.md` 2.3).
#[derive(Debug, Default, Deserialize)]
pub struct RawConditionSet {
    /// Null and empty both mean no filters.
    #[serde(default)]
    pub properties: Option<Vec<RawPropertyFilter>>,
    /// Percent; null is 100; not clamped.
    #[serde(default)]
    pub rollout_percentage: Option<f64>,
    /// Pinned variant.
    #[serde(default)]
    pub variant: Option<String>,
    /// `None`: key absent, use the flag level; `Some(None)`: person; `Some(Some(i))`: that group type.
    #[serde(default, deserialize_with = "present")]
    pub aggregation_group_type_index: Option<Option<i32>>,
}

/// `multivariate`.
#[derive(Debug, Default, Deserialize)]
pub struct RawMultivariate {
    /// Order matters.
    #[serde(default, deserialize_with = "null_default")]
    pub variants: Vec<RawVariant>,
}

/// One variant (`evaluation.md` 2.4).
#[derive(Debug, Deserialize)]
pub struct RawVariant {
    /// Response value.
    pub key: String,
    /// Percent.
    pub rollout_percentage: f64,
}

/// `holdout`.
#[derive(Debug, Deserialize)]
pub struct RawHoldout {
    /// Part of the reported variant.
    pub id: i64,
    /// Percent; clamped to 0..=100 when used.
    pub exclusion_percentage: f64,
}

/// A property filter (`evaluation.md` 2.5). A missing or unknown `type` or operator makes the flag unparseable.
#[derive(Debug, Clone, Deserialize)]
pub struct RawPropertyFilter {
    /// Property name; for `flag` the flag id as text.
    pub key: String,
    /// What is looked at.
    #[serde(rename = "type")]
    pub filter_type: FilterType,
    /// Operand; JSON null is the same as absent.
    #[serde(default)]
    pub value: Option<Value>,
    /// Default depends on the type.
    #[serde(default)]
    pub operator: Option<OperatorName>,
    /// Ignored in flag conditions.
    #[serde(default)]
    pub negation: Option<bool>,
    /// For `group`; falls back to the effective aggregation.
    #[serde(default)]
    pub group_type_index: Option<i32>,
}

/// `type` of a property filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the wire names say it all")]
pub enum FilterType {
    Person,
    Group,
    Cohort,
    Flag,
    PersonMetadata,
}

/// Operator names of `evaluation.md` 2.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the wire names say it all")]
pub enum OperatorName {
    Exact,
    IsNot,
    Icontains,
    NotIcontains,
    IcontainsMulti,
    NotIcontainsMulti,
    StartsWith,
    NotStartsWith,
    EndsWith,
    NotEndsWith,
    Regex,
    NotRegex,
    Gt,
    Gte,
    Lt,
    Lte,
    Between,
    NotBetween,
    SemverGt,
    SemverGte,
    SemverLt,
    SemverLte,
    SemverEq,
    SemverNeq,
    SemverTilde,
    SemverCaret,
    SemverWildcard,
    IsSet,
    IsNotSet,
    IsDateExact,
    IsDateAfter,
    IsDateBefore,
    In,
    NotIn,
    FlagEvaluatesTo,
}

fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
