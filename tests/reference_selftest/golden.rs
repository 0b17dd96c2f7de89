//! Every worked example of the specification.

use serde_json::Value;

use crate::reference::{Case, evaluate};

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
