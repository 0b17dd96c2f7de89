//! Property operators, `evaluation.md` 12.

use fancy_regex::{Expr, RegexBuilder};
use serde_json::Value;

use super::dates::{self, Clock};
use super::model::Filter;
use super::properties::Properties;
use super::text::text;
use super::versions;

/// Result of one operator. An error is swallowed by its user: no match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Match,
    Miss,
    Error,
}

use Verdict::{Error, Match, Miss};

fn verdict(matched: bool) -> Verdict {
    if matched { Match } else { Miss }
}

/// Backtracking limit of 12.5.
const BACKTRACK_STEPS: usize = 10_000;

/// Operators that match when the key is absent (12.2 rule 5).
const NEGATIVE: [&str; 7] = [
    "is_not",
    "not_icontains",
    "not_icontains_multi",
    "not_starts_with",
    "not_ends_with",
    "not_regex",
    "not_between",
];

/// One property filter against one source.
pub fn apply(filter: Filter<'_>, properties: &Properties, clock: &Clock) -> Verdict {
    let property = properties.values.get(filter.key());
    let operator = filter.operator().unwrap_or("exact");
    if property.is_none() && properties.partial {
        return Error;
    }
    match operator {
        "is_set" => return verdict(property.is_some()),
        "is_not_set" => return verdict(property.is_none()),
        "in" | "not_in" | "flag_evaluates_to" => return Error,
        _ => {}
    }
    let Some(value) = filter.value() else {
        return Miss;
    };
    if operator == "between" || operator == "not_between" {
        return between(operator, value, property);
    }
    match property {
        None => absent(operator, value),
        Some(property) => compare(operator, value, property, clock),
    }
}

/// Key absent, filter value given.
fn absent(operator: &str, value: &Value) -> Verdict {
    // 12.8: an unparseable filter version is an error whatever the property.
    if operator.starts_with("semver_") && !version_operand_parses(operator, value) {
        return Error;
    }
    verdict(NEGATIVE.contains(&operator))
}

fn compare(operator: &str, value: &Value, property: &Value, clock: &Clock) -> Verdict {
    match operator {
        "exact" => verdict(equal(value, property)),
        "is_not" => verdict(!equal(value, property)),
        "icontains" => verdict(ascii_lower(property).contains(&ascii_lower(value))),
        "not_icontains" => verdict(!ascii_lower(property).contains(&ascii_lower(value))),
        "icontains_multi" => verdict(contains_any(value, property)),
        "not_icontains_multi" => verdict(!contains_any(value, property)),
        "starts_with" => verdict(ascii_lower(property).starts_with(&ascii_lower(value))),
        "not_starts_with" => verdict(!ascii_lower(property).starts_with(&ascii_lower(value))),
        "ends_with" => verdict(ascii_lower(property).ends_with(&ascii_lower(value))),
        "not_ends_with" => verdict(!ascii_lower(property).ends_with(&ascii_lower(value))),
        "regex" => pattern_found(value, property).map_or(Error, verdict),
        "not_regex" => pattern_found(value, property).map_or(Error, |found| verdict(!found)),
        "gt" | "gte" | "lt" | "lte" => ordered(operator, value, property),
        "is_date_exact" | "is_date_after" | "is_date_before" => dated(operator, value, property, clock),
        other if other.starts_with("semver_") => versioned(other, value, property),
        _ => Error,
    }
}

/// 12.3.
fn equal(value: &Value, property: &Value) -> bool {
    if boolean_like(value) {
        return truthy(value) == truthy(property);
    }
    let property = text(property).to_lowercase();
    match value {
        Value::Array(items) => items.iter().any(|item| text(item).to_lowercase() == property),
        other => text(other).to_lowercase() == property,
    }
}

fn boolean_like(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::String(text) => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
        Value::Array(items) => items.iter().all(boolean_like),
        _ => false,
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Array(items) => items.iter().all(truthy),
        _ => false,
    }
}

/// 12.4.
fn ascii_lower(value: &Value) -> String {
    text(value).to_ascii_lowercase()
}

fn contains_any(value: &Value, property: &Value) -> bool {
    let property = ascii_lower(property);
    match value {
        Value::Array(items) => items.iter().any(|item| property.contains(&ascii_lower(item))),
        other => property.contains(&ascii_lower(other)),
    }
}

/// 12.5; none for an invalid pattern or too many steps.
fn pattern_found(value: &Value, property: &Value) -> Option<bool> {
    let pattern = text(value);
    // The regex syntax of 12.5 has no range that counts down (`a{2,1}`); this library would accept one.
    let counts_down = |node: &Expr| matches!(node, Expr::Repeat { lo, hi, .. } if hi < lo);
    if Expr::parse_tree(&pattern)
        .ok()?
        .expr
        .has_descendant_or_self(counts_down)
    {
        return None;
    }
    RegexBuilder::new(&pattern)
        .backtrack_limit(BACKTRACK_STEPS)
        .build()
        .ok()?
        .is_match(&text(property))
        .ok()
}

/// 12.6; the grammar given there is the one of the standard library.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        other => text(other).parse().ok(),
    }
}

fn ordered(operator: &str, value: &Value, property: &Value) -> Verdict {
    let (Some(property), Some(value)) = (number(property), number(value)) else {
        return Error;
    };
    verdict(match operator {
        "gt" => property > value,
        "gte" => property >= value,
        "lt" => property < value,
        _ => property <= value,
    })
}

/// 12.7: the bounds are checked even when the key is absent.
fn between(operator: &str, value: &Value, property: Option<&Value>) -> Verdict {
    let bounds = match value.as_array().map(Vec::as_slice) {
        Some([low, high]) => (number(low), number(high)),
        _ => return Error,
    };
    let (Some(low), Some(high)) = bounds else {
        return Error;
    };
    if low.is_nan() || high.is_nan() || low > high {
        return Error;
    }
    let inside = match property.and_then(number) {
        Some(property) if property.is_nan() => return Miss,
        Some(property) => low <= property && property <= high,
        None => false,
    };
    verdict(inside == (operator == "between"))
}

/// 12.8.
fn version_operand_parses(operator: &str, value: &Value) -> bool {
    match operator {
        "semver_tilde" | "semver_caret" | "semver_wildcard" => {
            versions::requirement(operator, value).is_some()
        }
        _ => versions::version(value).is_some(),
    }
}

fn versioned(operator: &str, value: &Value, property: &Value) -> Verdict {
    if !version_operand_parses(operator, value) {
        return Error;
    }
    let Some(property) = versions::version(property) else {
        return Miss;
    };
    if let "semver_tilde" | "semver_caret" | "semver_wildcard" = operator {
        return versions::requirement(operator, value)
            .map_or(Error, |requirement| verdict(requirement.matches(&property)));
    }
    let Some(value) = versions::version(value) else {
        return Error;
    };
    verdict(match operator {
        "semver_gt" => property > value,
        "semver_gte" => property >= value,
        "semver_lt" => property < value,
        "semver_lte" => property <= value,
        "semver_eq" => property == value,
        _ => property != value,
    })
}

/// 12.9.
fn dated(operator: &str, value: &Value, property: &Value, clock: &Clock) -> Verdict {
    let property = dates::property_instant(property, clock);
    let value = dates::filter_instant(value, clock);
    let (Some(property), Some(value)) = (property, value) else {
        return Miss;
    };
    verdict(match operator {
        "is_date_exact" => property == value,
        "is_date_after" => property > value,
        _ => property < value,
    })
}
