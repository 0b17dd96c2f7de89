//! The tables of `evaluation.md` 11 and 12, typed as data.

use serde_json::{Map, Value, json};

use crate::reference::dates::{self, Clock};
use crate::reference::hash;
use crate::reference::model::{DEFAULT_NOW, Filter};
use crate::reference::operators::{self, Verdict};
use crate::reference::properties::Properties;

const OPERATORS: &str = include_str!("../golden/operators.json");
const HASHING: &str = include_str!("../golden/hashing.json");

#[test]
fn every_operator_row_holds() {
    let rows: Vec<Value> = serde_json::from_str(OPERATORS).expect("the rows are JSON");
    assert!(rows.len() > 290, "{} rows", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let verdict = verdict_of(row);
            let expected = match row["expected"].as_str() {
                Some("match") => Verdict::Match,
                Some("no") => Verdict::Miss,
                _ => Verdict::Error,
            };
            // A plain "no" of the table says nothing about whether an error was swallowed.
            let same = verdict == expected || (expected == Verdict::Miss && verdict == Verdict::Error);
            (!same).then(|| format!("{row}: {verdict:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn verdict_of(row: &Value) -> Verdict {
    let mut filter = json!({"key": "p", "type": "person", "operator": row["operator"]});
    if let Some(value) = row.get("filter_value") {
        filter["value"] = value.clone();
    }
    let mut values = Map::new();
    if let Some(property) = row.get("property") {
        values.insert("p".to_owned(), property.clone());
    }
    let clock = Clock::new(DEFAULT_NOW, row["timezone"].as_str());
    operators::apply(
        Filter(&filter),
        &Properties {
            values,
            partial: false,
        },
        &clock,
    )
}

#[test]
fn an_absent_key_of_an_unknown_source_never_matches() {
    let clock = Clock::new(DEFAULT_NOW, None);
    let unknown = Properties {
        values: Map::new(),
        partial: true,
    };
    for operator in crate::reference::model::OPERATORS {
        let filter = json!({"key": "p", "type": "person", "operator": operator, "value": "x"});
        assert_eq!(
            operators::apply(Filter(&filter), &unknown, &clock),
            Verdict::Error,
            "{operator}"
        );
    }
}

#[test]
#[expect(clippy::float_cmp, reason = "11.1 fixes every bit")]
fn every_hash_vector_is_met_to_the_last_bit() {
    let tables: Value = serde_json::from_str(HASHING).expect("the tables are JSON");
    let rows = tables["hashes"].as_array().expect("hashes");
    assert_eq!(rows.len(), 33);
    for row in rows {
        let text = |name: &str| row[name].as_str().expect("text");
        let (prefix, identifier, salt) = (text("prefix"), text("identifier"), text("salt"));
        assert_eq!(hash::digits(prefix, identifier, salt), text("digits"), "{row}");
        assert_eq!(
            hash::hash(prefix, identifier, salt),
            number(text("hash")),
            "{row}"
        );
    }
}

/// Numbers of the table are kept as texts: a JSON reader may be off in the last bit.
fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

#[test]
fn boundaries_add_quotients() {
    let tables: Value = serde_json::from_str(HASHING).expect("the tables are JSON");
    let rows = tables["boundaries"].as_array().expect("boundaries");
    assert_eq!(rows.len(), 7);
    for row in rows {
        let numbers = |name: &str| -> Vec<f64> {
            row[name]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(number)
                .collect()
        };
        assert_eq!(hash::boundaries(&numbers("shares")), numbers("boundaries"));
    }
}

#[test]
fn relative_dates_follow_the_calendar_step_by_step() {
    // (now, timezone, text, instant as RFC 3339 or none)
    let rows = [
        ("2024-03-31T08:00:00Z", None, "-2m", Some("2024-01-29T08:00:00Z")),
        ("2023-03-31T08:00:00Z", None, "1m", Some("2023-02-28T08:00:00Z")),
        (
            "2024-02-29T08:00:00.25Z",
            None,
            "1y",
            Some("2023-02-28T08:00:00.25Z"),
        ),
        ("2024-02-29T08:00:00Z", None, "4y", Some("2020-02-28T08:00:00Z")),
        ("2024-07-15T12:00:00Z", None, "0h", Some("2024-07-15T12:00:00Z")),
        ("2024-07-15T12:00:00Z", None, "2w", Some("2024-07-01T12:00:00Z")),
        // 12 hours of wall clock over the spring change are 11 real hours.
        (
            "2024-03-31T08:00:00Z",
            Some("Europe/Oslo"),
            "12h",
            Some("2024-03-30T21:00:00Z"),
        ),
        // 02:30 was skipped that night.
        ("2024-03-31T10:30:00Z", Some("Europe/Oslo"), "10h", None),
        // 02:30 came twice: the earlier one.
        (
            "2024-10-28T01:30:00Z",
            Some("Europe/Oslo"),
            "1d",
            Some("2024-10-27T00:30:00Z"),
        ),
        ("2024-07-15T12:00:00Z", None, "10000d", None),
        ("2024-07-15T12:00:00Z", None, "7D", None),
        ("2024-07-15T12:00:00Z", None, "+7d", None),
    ];
    for (now, zone, text, expected) in rows {
        let clock = Clock::new(now, zone);
        let found = dates::filter_instant(&json!(text), &clock);
        let expected = expected.map(|text| dates::filter_instant(&json!(text), &clock).expect("RFC 3339"));
        assert_eq!(found, expected, "{now} {zone:?} {text}");
    }
}

#[test]
fn numbers_are_seconds_and_lose_their_fraction_below_zero() {
    let clock = Clock::new(DEFAULT_NOW, None);
    let rows = [
        (json!(-1.5), "1969-12-31T23:59:58Z"),
        (json!("2024"), "1970-01-01T00:33:44Z"),
        (json!(1_717_200_000.5), "2024-06-01T00:00:00.5Z"),
        (json!("2024-06-01 02:00:00.5+02:00"), "2024-06-01T00:00:00.5Z"),
        (json!("2024-6-1"), "2024-06-01T00:00:00Z"),
    ];
    for (property, instant) in rows {
        let expected = dates::filter_instant(&json!(instant), &clock);
        assert!(expected.is_some());
        assert_eq!(dates::property_instant(&property, &clock), expected, "{property}");
    }
    // Milliseconds are seconds far away, in the year 56385.
    let far = dates::property_instant(&json!(1_717_200_000_000_i64), &clock);
    assert_eq!(far, Some(1_717_200_000_000_i128 * 1_000_000_000));
    assert_eq!(dates::property_instant(&json!("nan"), &clock), None);
}

#[test]
fn an_offset_needs_its_colon() {
    let clock = Clock::new(DEFAULT_NOW, None);
    for text in [
        "2024-06-01T12:00:00+0200",
        "2024-13-01",
        "2024-06-01T25:00:00Z",
        "soon",
        "",
    ] {
        assert_eq!(dates::filter_instant(&json!(text), &clock), None, "{text}");
    }
    for text in [
        "2024-06-01t12:00:00z",
        "2024-06-01 12:00:00Z",
        "2024-06-01T12:00",
        "2024-06-01 12:00:00",
    ] {
        let noon = dates::filter_instant(&json!("2024-06-01T12:00:00Z"), &clock);
        assert_eq!(dates::filter_instant(&json!(text), &clock), noon, "{text}");
    }
}

#[test]
fn versions_are_padded_and_stripped() {
    use crate::reference::versions::version;
    let rows = [
        ("v1.02", Some("1.2.0")),
        ("000", Some("0.0.0")),
        (" v1.2.3", None),
        ("v 1.2.3", Some("1.2.3")),
        ("1.2.3.4", None),
        ("1.2.3-01", None),
        ("1.2-rc.1", Some("1.2.0-rc.1")),
        ("1.2.3-", None),
        ("", None),
    ];
    for (text, expected) in rows {
        let found = version(&json!(text)).map(|version| version.to_string());
        assert_eq!(found.as_deref(), expected, "{text:?}");
    }
    let ordered = [
        "1.2.3-1",
        "1.2.3-a",
        "1.2.3-a.1",
        "1.2.3",
        "1.2.3+a",
        "1.2.3+b",
        "1.2.4",
    ];
    for pair in ordered.windows(2) {
        assert!(version(&json!(pair[0])) < version(&json!(pair[1])), "{pair:?}");
    }
}

#[test]
fn patterns_that_cannot_be_decided_match_under_neither_operator() {
    let clock = Clock::new(DEFAULT_NOW, None);
    let long = format!("{}b", "a".repeat(40));
    // A range that counts down is no syntax; the other one needs more than 10,000 steps.
    for (pattern, text) in [("a{2,1}", "aa"), ("^(a|aa)+\\1c$", long.as_str())] {
        for operator in ["regex", "not_regex"] {
            let filter = json!({"key": "p", "type": "person", "operator": operator, "value": pattern});
            let mut properties = Properties::default();
            properties.values.insert("p".to_owned(), json!(text));
            let verdict = operators::apply(Filter(&filter), &properties, &clock);
            assert_eq!(verdict, Verdict::Error, "{operator} {pattern}");
        }
    }
}
