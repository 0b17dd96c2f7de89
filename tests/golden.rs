//! Golden cases: every case of `tests/golden/{engine_examples,own}.json` through sequential and parallel evaluation.

#[path = "support/case.rs"]
mod case;
#[path = "reference/mod.rs"]
mod reference;

use case::Answers;
use serde_json::Value;

fn cases() -> Vec<Value> {
    let files = [
        include_str!("golden/engine_examples.json"),
        include_str!("golden/own.json"),
    ];
    files
        .into_iter()
        .flat_map(|text| serde_json::from_str::<Vec<Value>>(text).expect("a golden file is a JSON array"))
        .collect()
}

/// Every difference between a case's expectation and what was answered.
fn differences(case: &Value, answers: &Answers) -> Vec<String> {
    let mut found = Vec::new();
    let expected = case["expected"].as_object().expect("expected is an object");
    for (key, wanted) in expected {
        let Some(answer) = answers.flags.get(key) else {
            found.push(format!("{key}: no record"));
            continue;
        };
        let got = serde_json::json!({
            "enabled": answer.enabled,
            "variant": answer.variant,
            "reason_code": answer.reason_code,
            "condition_index": answer.condition_index,
        });
        for (field, value) in wanted.as_object().expect("a record") {
            if got.get(field) != Some(value) {
                found.push(format!("{key}.{field}: wanted {value}, got {:?}", got.get(field)));
            }
        }
        let payload = case
            .get("expected_payloads")
            .and_then(|payloads| payloads.get(key))
            .cloned();
        if answer.payload != payload {
            found.push(format!(
                "{key}.payload: wanted {payload:?}, got {:?}",
                answer.payload
            ));
        }
    }
    for key in answers.flags.keys() {
        let omitted = case.get("expected_omitted").and_then(Value::as_array);
        if omitted.is_some_and(|keys| keys.iter().any(|omitted| omitted == key)) {
            found.push(format!("{key}: must have no record"));
        }
    }
    let errors = case
        .get("expected_errors_while_computing_flags")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    if answers.errors != errors {
        found.push(format!("errors flag: wanted {errors}, got {}", answers.errors));
    }
    found
}

fn check(threshold: usize, expect_parallel: bool) {
    let cases = cases();
    assert!(cases.len() >= 230, "the golden file has {} cases", cases.len());
    let mut failures = Vec::new();
    let mut parallel_stages = 0;
    for case in &cases {
        let answers = case::run(case, threshold);
        parallel_stages += answers.parallel_stages;
        for difference in differences(case, &answers) {
            failures.push(format!("{}: {difference}", case["name"]));
        }
    }
    assert!(
        failures.is_empty(),
        "{} differences:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert_eq!(
        parallel_stages > 0,
        expect_parallel,
        "parallel stages: {parallel_stages}"
    );
}

#[test]
fn sequential() {
    check(usize::MAX, false);
}

#[test]
fn parallel() {
    check(1, true);
}

/// The naive interpreter must read the specification as the cases do.
#[test]
fn reference() {
    let mut failures = Vec::new();
    for case in cases() {
        let parsed: reference::Case = serde_json::from_value(case.clone()).expect("a case parses");
        let outcome = reference::evaluate(&parsed);
        let flags = outcome.flags.into_iter().map(|(key, flag)| {
            let answer = case::Answer {
                enabled: flag.enabled,
                variant: flag.variant,
                payload: flag.payload,
                reason_code: flag.reason_code,
                description: flag.description,
                condition_index: flag
                    .condition_index
                    .map(|index| u32::try_from(index).expect("an index")),
                failed: flag.failed,
            };
            (key, answer)
        });
        let answers = Answers {
            flags: flags.collect(),
            errors: outcome.errors,
            parallel_stages: 0,
        };
        for difference in differences(&case, &answers) {
            failures.push(format!("{}: {difference}", case["name"]));
        }
    }
    assert!(
        failures.is_empty(),
        "{} differences:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
