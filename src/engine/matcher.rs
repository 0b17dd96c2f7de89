//! Property operators (`evaluation.md` 12): one compiled variant an operator and shape of operand.
//!
//! Everything that can be prepared is prepared here, at load: needles lower-cased, numbers, versions and
//! absolute dates parsed, regexes built. What cannot be compiled becomes the outcome that the
//! specification gives it. Matching does not fail: an operator that ends in an error does not match.

use fancy_regex::{Expr, Regex, RegexBuilder};
use jiff::tz::TimeZone;
use semver::{Version, VersionReq};
use serde_json::Value;

use super::date::{DateText, Instant, property_instant};
use super::number::{operand_number, property_number};
use super::pattern::pattern_bytes;
use super::value::{OwnedTape, PropertyValue, to_lowercase};
use super::version::{parse_range, parse_version, parse_wildcard};
use crate::definition::OperatorName;

/// Steps after which a pattern with look-around or back-references gives up (`evaluation.md` 12.5).
const REGEX_BACKTRACK_LIMIT: usize = 10_000;

/// Where `icontains` looks. With a fault for tests: only at the start, which `scripts/seeded-fault` must see.
const ICONTAINS: Place = if cfg!(feature = "seeded-fault") {
    Place::Start
} else {
    Place::Contains
};

/// A compiled operator with its operand.
#[derive(Debug)]
pub enum Matcher {
    /// The same answer for every present value, and one for an absent key.
    Constant {
        /// Outcome when the key is present.
        present: bool,
        /// Outcome when the key is absent.
        absent: bool,
    },
    /// `exact`, `is_not`.
    Equal {
        /// What is compared.
        operand: Equality,
        /// `is_not`.
        negated: bool,
    },
    /// The substring family; needles are ASCII-lower-cased, any of them counts.
    Text {
        /// Where the needle must stand.
        place: Place,
        /// Lower-cased texts.
        needles: Box<[Box<str>]>,
        /// `not_…`.
        negated: bool,
    },
    /// `regex`, `not_regex`; `None` is a pattern that does not compile: it matches nothing present.
    Regex {
        /// The compiled pattern.
        regex: Option<Box<Regex>>,
        /// `not_regex`.
        negated: bool,
    },
    /// `gt`, `gte`, `lt`, `lte`.
    Compare {
        /// Which.
        comparison: Comparison,
        /// The filter's number.
        operand: f64,
    },
    /// `between`, `not_between`.
    Between {
        /// Inclusive lower end.
        low: f64,
        /// Inclusive upper end.
        high: f64,
        /// `not_between`.
        negated: bool,
    },
    /// `semver_gt` to `semver_neq`.
    Version {
        /// Which.
        comparison: Comparison,
        /// The filter's version.
        operand: Box<Version>,
    },
    /// `semver_tilde`, `semver_caret`, `semver_wildcard`.
    VersionRange(Box<VersionReq>),
    /// `is_date_exact`, `is_date_after`, `is_date_before`.
    Date {
        /// Equal, greater or less.
        comparison: Comparison,
        /// The filter's date.
        operand: DateText,
    },
}

/// Operand of `exact` by its shape.
#[derive(Debug)]
pub enum Equality {
    /// Boolean-like: compares truthiness.
    Truth(bool),
    /// Lower-cased texts, any of them.
    AnyOf(Box<[Box<str>]>),
}

/// Place of a needle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Contains,
    /// At the front.
    Start,
    /// At the end.
    End,
}

/// Order operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

impl Comparison {
    fn holds(self, ordering: Option<std::cmp::Ordering>) -> bool {
        ordering.is_some_and(|ordering| match self {
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
        })
    }
}

/// What matching needs besides the value.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    /// The request's time.
    pub now: Instant,
    /// The team's timezone.
    pub zone: &'a TimeZone,
}

/// No match, whatever the value.
const NEVER: Matcher = Matcher::Constant {
    present: false,
    absent: false,
};

impl Matcher {
    /// Compiles an operator of a property filter. `zone` is the team's timezone.
    #[must_use]
    pub fn compile(operator: OperatorName, value: Option<&Value>, zone: &TimeZone) -> Self {
        use OperatorName as Op;
        let value = match (operator, value) {
            (Op::IsSet, _) => {
                return Self::Constant {
                    present: true,
                    absent: false,
                };
            }
            (Op::IsNotSet, _) => {
                return Self::Constant {
                    present: false,
                    absent: true,
                };
            }
            (_, None | Some(Value::Null)) => return NEVER,
            (_, Some(value)) => value,
        };
        match operator {
            Op::Exact => Self::Equal {
                operand: equality(value),
                negated: false,
            },
            Op::IsNot => Self::Equal {
                operand: equality(value),
                negated: true,
            },
            Op::Icontains => text_matcher(ICONTAINS, value, false),
            Op::NotIcontains => text_matcher(Place::Contains, value, true),
            Op::IcontainsMulti => multi_matcher(value, false),
            Op::NotIcontainsMulti => multi_matcher(value, true),
            Op::StartsWith => text_matcher(Place::Start, value, false),
            Op::NotStartsWith => text_matcher(Place::Start, value, true),
            Op::EndsWith => text_matcher(Place::End, value, false),
            Op::NotEndsWith => text_matcher(Place::End, value, true),
            Op::Regex => Self::Regex {
                regex: compile_regex(value),
                negated: false,
            },
            Op::NotRegex => Self::Regex {
                regex: compile_regex(value),
                negated: true,
            },
            Op::Gt => compare(Comparison::Greater, value),
            Op::Gte => compare(Comparison::GreaterOrEqual, value),
            Op::Lt => compare(Comparison::Less, value),
            Op::Lte => compare(Comparison::LessOrEqual, value),
            Op::Between => between(value, false),
            Op::NotBetween => between(value, true),
            Op::SemverGt => version(Comparison::Greater, value),
            Op::SemverGte => version(Comparison::GreaterOrEqual, value),
            Op::SemverLt => version(Comparison::Less, value),
            Op::SemverLte => version(Comparison::LessOrEqual, value),
            Op::SemverEq => version(Comparison::Equal, value),
            Op::SemverNeq => version(Comparison::NotEqual, value),
            Op::SemverTilde => range(parse_range('~', &operand_text(value))),
            Op::SemverCaret => range(parse_range('^', &operand_text(value))),
            Op::SemverWildcard => range(parse_wildcard(&operand_text(value))),
            Op::IsDateExact => date(Comparison::Equal, value, zone),
            Op::IsDateAfter => date(Comparison::Greater, value, zone),
            Op::IsDateBefore => date(Comparison::Less, value, zone),
            Op::In | Op::NotIn | Op::FlagEvaluatesTo => NEVER,
            Op::IsSet | Op::IsNotSet => unreachable!("decided above"),
        }
    }

    /// Whether a present value matches. `buffer` is scratch for text forms.
    #[must_use]
    pub fn matches(&self, value: PropertyValue<'_>, clock: Clock<'_>, buffer: &mut String) -> bool {
        match self {
            Self::Constant { present, .. } => *present,
            Self::Equal { operand, negated } => operand.equals(value, buffer) != *negated,
            Self::Text {
                place,
                needles,
                negated,
            } => {
                let text = value.text(buffer);
                needles.iter().any(|needle| place.holds(text, needle)) != *negated
            }
            Self::Regex { regex, negated } => regex
                .as_ref()
                .and_then(|regex| regex.is_match(value.text(buffer)).ok())
                .is_some_and(|found| found != *negated),
            Self::Compare { comparison, operand } => {
                property_number(value).is_some_and(|number| comparison.holds(number.partial_cmp(operand)))
            }
            Self::Between { low, high, negated } => match property_number(value) {
                Some(number) if number.is_nan() => false,
                Some(number) => (*low <= number && number <= *high) != *negated,
                None => *negated,
            },
            Self::Version { comparison, operand } => parse_version(value.text(buffer))
                .is_some_and(|version| comparison.holds(Some(version.cmp(operand)))),
            Self::VersionRange(range) => {
                parse_version(value.text(buffer)).is_some_and(|version| range.matches(&version))
            }
            Self::Date { comparison, operand } => {
                let left = property_instant(value, clock.now, clock.zone);
                let right = operand.resolve(clock.now, clock.zone);
                left.zip(right)
                    .is_some_and(|(left, right)| comparison.holds(Some(left.cmp(&right))))
            }
        }
    }

    /// Whether an absent key matches (12.2 rule 5).
    #[must_use]
    pub fn matches_absent(&self) -> bool {
        match self {
            Self::Constant { absent, .. } => *absent,
            Self::Equal { negated, .. }
            | Self::Text { negated, .. }
            | Self::Regex { negated, .. }
            | Self::Between { negated, .. } => *negated,
            Self::Compare { .. } | Self::Version { .. } | Self::VersionRange(_) | Self::Date { .. } => false,
        }
    }

    /// Whether this is a pattern that did not compile; reported once, at load.
    #[must_use]
    pub fn is_broken_regex(&self) -> bool {
        matches!(self, Self::Regex { regex: None, .. })
    }

    /// Whether a text is searched for a regular expression.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        matches!(self, Self::Regex { regex: Some(_), .. })
    }

    /// Estimated heap bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Equal {
                operand: Equality::AnyOf(texts),
                ..
            }
            | Self::Text { needles: texts, .. } => {
                texts.iter().map(|text| text.len() + size_of::<Box<str>>()).sum()
            }
            Self::Regex {
                regex: Some(regex), ..
            } => pattern_bytes(regex.as_str()),
            Self::Version { .. } => size_of::<Version>(),
            Self::VersionRange(range) => size_of::<VersionReq>() + range.comparators.len() * 48,
            _ => 0,
        }
    }
}

impl Equality {
    fn equals(&self, value: PropertyValue<'_>, buffer: &mut String) -> bool {
        match self {
            Self::Truth(truth) => is_truthy(value) == *truth,
            Self::AnyOf(needles) => {
                let text = value.text(buffer);
                if text.is_ascii() {
                    return needles.iter().any(|needle| equals_lowered(text, needle));
                }
                let lowered = to_lowercase(text);
                needles.iter().any(|needle| **needle == *lowered)
            }
        }
    }
}

/// `text`, which is ASCII, lower-cased equals `needle`, which is lower-cased already.
fn equals_lowered(text: &str, needle: &str) -> bool {
    text.len() == needle.len()
        && text
            .bytes()
            .zip(needle.bytes())
            .all(|(left, right)| left.to_ascii_lowercase() == right)
}

impl Place {
    /// `needle` is ASCII-lower-cased; other letters must be the same.
    fn holds(self, text: &str, needle: &str) -> bool {
        let (text, needle) = (text.as_bytes(), needle.as_bytes());
        if needle.is_empty() {
            return true;
        }
        if needle.len() > text.len() {
            return false;
        }
        let same = |window: &[u8]| {
            window
                .iter()
                .zip(needle)
                .all(|(left, right)| left.to_ascii_lowercase() == *right)
        };
        match self {
            Self::Start => same(&text[..needle.len()]),
            Self::End => same(&text[text.len() - needle.len()..]),
            Self::Contains => {
                let first = needle[0];
                let last_start = text.len() - needle.len();
                let mut at = 0;
                // memchr finds candidates by the first byte in either case; only those are compared.
                while let Some(found) =
                    memchr::memchr2(first, first.to_ascii_uppercase(), &text[at..=last_start])
                {
                    at += found;
                    if same(&text[at..at + needle.len()]) {
                        return true;
                    }
                    at += 1;
                    if at > last_start {
                        return false;
                    }
                }
                false
            }
        }
    }
}

fn is_truthy(value: PropertyValue<'_>) -> bool {
    match value {
        PropertyValue::Bool(value) => value,
        PropertyValue::Str(text) => text.eq_ignore_ascii_case("true"),
        PropertyValue::Array(array) => array.iter().all(is_truthy),
        _ => false,
    }
}

fn boolean_like(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::String(text) => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
        Value::Array(values) => values.iter().all(boolean_like),
        _ => false,
    }
}

fn operand_truthy(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Array(values) => values.iter().all(operand_truthy),
        _ => false,
    }
}

fn equality(value: &Value) -> Equality {
    if boolean_like(value) {
        return Equality::Truth(operand_truthy(value));
    }
    let texts = match value {
        Value::Array(values) => values
            .iter()
            .map(|value| operand_text(value).to_lowercase().into())
            .collect(),
        single => [operand_text(single).to_lowercase().into()].into(),
    };
    Equality::AnyOf(texts)
}

/// Text form (12.1) of a filter operand.
#[must_use]
pub fn operand_text(value: &Value) -> String {
    let tape = OwnedTape::from_json(value);
    let mut text = String::new();
    PropertyValue::from_tape(&tape.nodes()).write_text(&mut text);
    text
}

fn text_matcher(place: Place, value: &Value, negated: bool) -> Matcher {
    let needle = operand_text(value).to_ascii_lowercase().into();
    Matcher::Text {
        place,
        needles: [needle].into(),
        negated,
    }
}

fn multi_matcher(value: &Value, negated: bool) -> Matcher {
    let needles = match value {
        Value::Array(values) => values
            .iter()
            .map(|value| operand_text(value).to_ascii_lowercase().into())
            .collect(),
        single => [operand_text(single).to_ascii_lowercase().into()].into(),
    };
    Matcher::Text {
        place: Place::Contains,
        needles,
        negated,
    }
}

fn compile_regex(value: &Value) -> Option<Box<Regex>> {
    let pattern = operand_text(value);
    let regex = RegexBuilder::new(&pattern)
        .backtrack_limit(REGEX_BACKTRACK_LIMIT)
        .build()
        .ok()?;
    // `a{2,1}` is invalid in the `regex` syntax; this parser alone takes it, as `a{2}`.
    let swapped = Expr::parse_tree(&pattern).is_ok_and(|tree| has_swapped_bounds(&tree.expr));
    (!swapped).then(|| Box::new(regex))
}

/// Recursion ends: the parser bounds the depth of what it accepts.
fn has_swapped_bounds(expression: &Expr) -> bool {
    matches!(expression, Expr::Repeat { lo, hi, .. } if lo > hi)
        || expression.children_iter().any(has_swapped_bounds)
}

fn compare(comparison: Comparison, value: &Value) -> Matcher {
    operand_number(value).map_or(NEVER, |operand| Matcher::Compare { comparison, operand })
}

fn between(value: &Value, negated: bool) -> Matcher {
    let Value::Array(bounds) = value else { return NEVER };
    let [low, high] = bounds.as_slice() else {
        return NEVER;
    };
    match operand_number(low).zip(operand_number(high)) {
        // Also false for NaN.
        Some((low, high)) if low <= high => Matcher::Between { low, high, negated },
        _ => NEVER,
    }
}

fn version(comparison: Comparison, value: &Value) -> Matcher {
    parse_version(&operand_text(value)).map_or(NEVER, |operand| Matcher::Version {
        comparison,
        operand: Box::new(operand),
    })
}

fn range(range: Option<VersionReq>) -> Matcher {
    range.map_or(NEVER, |range| Matcher::VersionRange(Box::new(range)))
}

fn date(comparison: Comparison, value: &Value, zone: &TimeZone) -> Matcher {
    let Value::String(text) = value else { return NEVER };
    DateText::parse(text, zone).map_or(NEVER, |operand| Matcher::Date { comparison, operand })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(operator: OperatorName, operand: &Value, property: &Value) -> bool {
        let matcher = Matcher::compile(operator, Some(operand), &TimeZone::UTC);
        let tape = OwnedTape::from_json(property);
        let nodes = tape.nodes();
        let clock = Clock {
            now: Instant {
                seconds: 1_721_044_800,
                nanos: 0,
            },
            zone: &TimeZone::UTC,
        };
        matcher.matches(PropertyValue::from_tape(&nodes), clock, &mut String::new())
    }

    #[test]
    fn substring_search_finds_overlaps_and_respects_case_of_other_letters() {
        assert!(outcome(OperatorName::Icontains, &json!("aab"), &json!("AaAab")));
        assert!(!outcome(OperatorName::Icontains, &json!("ä"), &json!("Ä")));
        assert!(outcome(OperatorName::EndsWith, &json!("3"), &json!(123)));
        assert!(!outcome(OperatorName::Icontains, &json!("value"), &json!("val")));
    }

    #[test]
    fn surprising_rows_of_exact() {
        assert!(outcome(OperatorName::Exact, &json!("false"), &json!("yes")));
        assert!(!outcome(
            OperatorName::Exact,
            &json!(["true", "false"]),
            &json!(true)
        ));
        assert!(outcome(OperatorName::Exact, &json!([]), &json!(true)));
        assert!(outcome(OperatorName::Exact, &json!("[\"a\"]"), &json!(["a"])));
        assert!(!outcome(OperatorName::Exact, &json!(5), &json!(5.0)));
    }

    #[test]
    fn backtracking_beyond_the_limit_matches_neither_way() {
        let property = json!("a".repeat(40) + "!");
        let pattern = json!("^(?=(a+)+$)(a+)+$");
        assert!(!outcome(OperatorName::Regex, &pattern, &property));
        let invalid = Matcher::compile(OperatorName::NotRegex, Some(&json!("[")), &TimeZone::UTC);
        assert!(invalid.is_broken_regex() && invalid.matches_absent());
    }

    #[test]
    fn repetition_bounds_in_the_wrong_order_make_a_pattern_invalid() {
        for pattern in ["a{2,1}", "x(?:a{3,0})y", "a{2,1}(?=b)"] {
            let regex = Matcher::compile(OperatorName::NotRegex, Some(&json!(pattern)), &TimeZone::UTC);
            assert!(regex.is_broken_regex(), "{pattern}");
        }
        assert!(outcome(OperatorName::Regex, &json!("^a{1,2}$"), &json!("aa")));
        assert!(outcome(OperatorName::Regex, &json!("^[{2,1}]$"), &json!("{")));
    }
}
