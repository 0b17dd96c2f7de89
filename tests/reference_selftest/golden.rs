//! Every worked example of the specification.

use serde_json::{Value, json};

use crate::reference::outcome::Failure;
use crate::reference::{Case, Outcome, differences, evaluate, metadata};

const EXAMPLES: &str = include_str!("../golden/engine_examples.json");

#[test]
fn every_worked_example_has_its_expected_outcome() {
    let examples: Vec<Value> = serde_json::from_str(EXAMPLES).expect("the examples are JSON");
    assert_eq!(examples.len(), 200);
    let differences: Vec<String> = examples.iter().filter_map(difference).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn difference(example: &Value) -> Option<String> {
    let case: Case = serde_json::from_value(example.clone()).expect("an example is a case");
    let outcome = evaluate(&case);
    let expected = example["expected"].as_object().expect("expected records");
    let mut wrong = Vec::new();
    for key in outcome.flags.keys().filter(|key| !expected.contains_key(*key)) {
        wrong.push(format!("unexpected record {key}"));
    }
    for key in example["expected_omitted"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if outcome.flags.contains_key(key) {
            wrong.push(format!("{key} must have no record"));
        }
    }
    for (key, record) in expected {
        let Some(flag) = outcome.flags.get(key) else {
            wrong.push(format!("no record {key}"));
            continue;
        };
        let payload = example["expected_payloads"].get(key);
        let same = record["enabled"] == Value::Bool(flag.enabled)
            && record["variant"].as_str() == flag.variant.as_deref()
            && record["reason_code"] == flag.reason_code.as_str()
            && record["condition_index"].as_i64() == flag.condition_index
            && payload == flag.payload.as_ref();
        if !same {
            wrong.push(format!("{key}: expected {record} {payload:?}, got {flag:?}"));
        }
    }
    if example["expected_errors_while_computing_flags"] != Value::Bool(outcome.errors) {
        wrong.push(format!("errors flag {}", outcome.errors));
    }
    (!wrong.is_empty()).then(|| format!("{}: {}", case.name, wrong.join("; ")))
}

/// 6.6: the one place where graph and metadata answer differently. The writer did not know that the
/// request leaves `middle` out.
#[test]
fn metadata_keeps_a_missing_dependency_behind_a_left_out_flag() {
    let depends_on = |target: &str| {
        json!({"groups": [{"properties": [
            {"key": target, "type": "flag", "operator": "flag_evaluates_to", "value": false}
        ]}]})
    };
    let mut case: Case = serde_json::from_value(json!({
        "distinct_id": "user-17",
        "evaluation_runtime": "server",
        "flags": [
            {"id": 1, "key": "top", "active": true, "filters": depends_on("2")},
            {"id": 2, "key": "middle", "active": true, "evaluation_runtime": "client", "filters": depends_on("99")},
        ],
    }))
    .expect("a case");
    assert!(evaluate(&case).flags["top"].enabled);

    case.evaluation_metadata = Some(metadata::write(&case.flags, true));
    let outcome = evaluate(&case);
    assert_eq!(outcome.flags["top"].reason_code, "missing_dependency");
    assert!(!outcome.flags.contains_key("middle") && !outcome.errors);
}

/// 6.5: the cycle test looks at all flags, also when none is needed.
#[test]
fn an_empty_key_list_still_reports_cycles() {
    let itself = json!({"groups": [{"properties": [
        {"key": "1", "type": "flag", "operator": "flag_evaluates_to", "value": true}
    ]}]});
    let case: Case = serde_json::from_value(json!({
        "distinct_id": "user-17",
        "flag_keys": [],
        "flags": [
            {"id": 1, "key": "loop", "active": true, "filters": itself},
            {"id": 2, "key": "free", "active": true, "filters": {"groups": []}},
        ],
    }))
    .expect("a case");
    let outcome = evaluate(&case);
    assert!(outcome.flags.is_empty() && outcome.errors);
}

/// Section 19: an unsupported format is an error record whose dependents see `false`.
#[test]
fn an_unsupported_format_counts_as_false() {
    let child = json!({"groups": [{"properties": [
        {"key": "1", "type": "flag", "operator": "flag_evaluates_to", "value": false}
    ]}]});
    let case: Case = serde_json::from_value(json!({
        "distinct_id": "user-17",
        "flags": [
            {"id": 1, "key": "new", "active": true, "filters": {"version": 2, "groups": []}},
            {"id": 2, "key": "child", "active": true, "filters": child},
        ],
    }))
    .expect("a case");
    let outcome = evaluate(&case);
    assert!(outcome.errors && outcome.flags["new"].failed && outcome.flags["child"].enabled);
    assert_eq!(outcome.flags["new"].reason_code, "flag_data_parsing_error");
}

#[test]
fn outcomes_differ_by_record_and_cohort_errors_are_alike() {
    let one = Outcome {
        flags: [("a".to_owned(), Failure::CohortCycle.record())].into(),
        errors: true,
    };
    let other = Outcome {
        flags: [("a".to_owned(), Failure::CohortNotFound.record())].into(),
        errors: true,
    };
    assert!(differences(&one, &other).is_empty());
    assert_eq!(differences(&one, &Outcome::default()).len(), 2);
    assert_eq!(differences(&Outcome::default(), &one).len(), 2);
    let version = Outcome {
        flags: [("a".to_owned(), Failure::UnsupportedVersion.record())].into(),
        errors: true,
    };
    assert_eq!(differences(&one, &version).len(), 1);
}
