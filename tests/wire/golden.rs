//! Golden cases as requests: definitions imported, facts stored, answers read off the wire in every shape.

use std::sync::Arc;

use feature_flags::engine::Instant;
use feature_flags::http::Clock;
use feature_flags::store::embedded::EmbeddedStore;
use serde_json::{Map, Value, json};

use crate::harness::Harness;

const TOKEN: &str = "phc_golden";

/// The definitions and stored facts of a case as a project document.
fn document(case: &Value) -> Value {
    let object = |key: &str| {
        case.get(key)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let mapping = object("group_type_mapping");
    let person = case.get("person").filter(|person| !person.is_null());
    let overrides = object("hash_key_overrides");
    let distinct_id = &case["distinct_id"];
    let mut cohorts = case
        .get("cohorts")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for cohort in &mut cohorts {
        let joined = person
            .and_then(|person| person.get("static_cohorts"))
            .and_then(Value::as_array)
            .is_some_and(|ids| ids.contains(&cohort["id"]));
        if cohort["is_static"] == json!(true) {
            cohort["members"] = if joined { json!([distinct_id]) } else { json!([]) };
        }
        // The stored column is not null.
        if cohort.get("name").is_none() {
            cohort["name"] = json!(format!("cohort {}", cohort["id"]));
        }
    }
    let persons = if person.is_some() || !overrides.is_empty() {
        let properties = person.map_or(json!({}), |person| person["properties"].clone());
        json!([{ "distinct_ids": [distinct_id], "properties": properties, "hash_key_overrides": overrides }])
    } else {
        json!([])
    };
    let groups: Vec<Value> = object("stored_group_properties")
        .into_iter()
        .filter_map(|(name, properties)| {
            let key = match case["groups"].get(&name)? {
                Value::String(key) => key.clone(),
                other => other.to_string(),
            };
            Some(json!({ "group_type_index": mapping.get(&name)?, "group_key": key, "properties": properties }))
        })
        .collect();
    let by_index: Map<String, Value> = mapping
        .into_iter()
        .map(|(name, index)| (index.to_string(), Value::String(name)))
        .collect();
    json!({
        "team": { "id": 1, "api_token": TOKEN, "timezone": case.get("timezone").unwrap_or(&json!("UTC")) },
        "flags": case["flags"],
        "cohorts": cohorts,
        "group_type_mapping": by_index,
        "groups": groups,
        "persons": persons,
    })
}

/// The request of a case.
fn body(case: &Value) -> Value {
    let mut body = json!({ "token": TOKEN, "geoip_disable": true });
    body["distinct_id"] = case
        .get("raw_distinct_id")
        .unwrap_or(&case["distinct_id"])
        .clone();
    for key in [
        "anon_distinct_id",
        "device_id",
        "person_properties",
        "groups",
        "group_properties",
        "flag_keys",
        "evaluation_runtime",
        "evaluation_contexts",
    ] {
        if let Some(value) = case.get(key).filter(|value| !value.is_null()) {
            body[key] = value.clone();
        }
    }
    body
}

fn clock(case: &Value) -> Clock {
    let text = case
        .get("now")
        .and_then(Value::as_str)
        .unwrap_or("2024-07-15T12:00:00+00:00");
    let now: jiff::Timestamp = text.parse().unwrap();
    Clock::Fixed(Instant::from_nanos(now.as_nanosecond()))
}

/// Differences between the detailed answer and what the case expects.
fn detailed(case: &Value, answer: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let flags = answer["flags"].as_object().unwrap();
    for (key, expected) in case["expected"].as_object().unwrap() {
        let Some(flag) = flags.get(key) else {
            found.push(format!("{key}: no record"));
            continue;
        };
        for (field, got) in [
            ("enabled", &flag["enabled"]),
            ("variant", &flag["variant"]),
            ("reason_code", &flag["reason"]["code"]),
            ("condition_index", &flag["reason"]["condition_index"]),
        ] {
            if expected.get(field).is_some_and(|wanted| wanted != got) {
                found.push(format!("{key}.{field}: wanted {}, got {got}", expected[field]));
            }
        }
        let payload = case
            .get("expected_payloads")
            .and_then(|payloads| payloads.get(key))
            .unwrap_or(&Value::Null);
        if &flag["metadata"]["payload"] != payload {
            found.push(format!(
                "{key}.payload: wanted {payload}, got {}",
                flag["metadata"]["payload"]
            ));
        }
        if flag["key"] != json!(key) || flag["metadata"]["description"] != Value::Null {
            found.push(format!("{key}: {flag}"));
        }
    }
    for key in case
        .get("expected_omitted")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if flags.contains_key(key.as_str().unwrap()) {
            found.push(format!("{key}: must have no record"));
        }
    }
    let errors = case
        .get("expected_errors_while_computing_flags")
        .unwrap_or(&Value::Bool(false));
    if &answer["errorsWhileComputingFlags"] != errors {
        found.push(format!("errors flag: wanted {errors}"));
    }
    found
}

/// What the older shapes must say when the detailed answer is this.
fn older(answer: &Value) -> [Value; 3] {
    let (mut values, mut payloads, mut enabled, mut keys) = (Map::new(), Map::new(), Map::new(), Vec::new());
    for (key, flag) in answer["flags"].as_object().unwrap() {
        let value = if flag["variant"].is_null() {
            &flag["enabled"]
        } else {
            &flag["variant"]
        };
        values.insert(key.clone(), value.clone());
        if !flag["metadata"]["payload"].is_null() {
            payloads.insert(key.clone(), flag["metadata"]["payload"].clone());
        }
        if flag["enabled"] == json!(true) {
            enabled.insert(key.clone(), value.clone());
            keys.push(json!(key));
        }
    }
    [
        json!({ "errorsWhileComputingFlags": answer["errorsWhileComputingFlags"],
            "featureFlags": values, "featureFlagPayloads": payloads }),
        json!({ "featureFlags": enabled }),
        json!({ "featureFlags": keys }),
    ]
}

fn run(case: &Value) -> Vec<String> {
    let store = EmbeddedStore::temporary().unwrap();
    if let Err(error) = store.import(document(case).to_string().as_bytes()) {
        return vec![format!("import: {error}")];
    }
    let server = Harness::serving(&[("SKIP_WRITES", "true")], Arc::new(store), clock(case));
    let mut client = server.client();
    let survey = if case["only_evaluate_survey_feature_flags"] == json!(true) {
        "&only_evaluate_survey_feature_flags=true"
    } else {
        ""
    };
    let body = body(case).to_string();
    let mut ask = |path: &str| {
        let line = format!("POST {path}{survey}");
        let answer = client.request(&line, &["content-type: application/json"], body.as_bytes());
        assert_eq!(answer.status, 200, "{}: {}", case["name"], answer.text());
        answer.json()
    };
    let detail = ask("/flags?v=2");
    let mut found = detailed(case, &detail);
    let paths = ["/flags?v=1", "/decide?config=false&v=2", "/decide?config=0&v=1"];
    for (path, wanted) in paths.into_iter().zip(older(&detail)) {
        let mut got = ask(path);
        let got = got.as_object_mut().unwrap();
        got.retain(|key, _| key != "requestId" && key != "evaluatedAt");
        if let Some(Value::Array(keys)) = got.get_mut("featureFlags") {
            keys.sort_by_key(Value::to_string);
        }
        let mut wanted = wanted;
        if let Some(Value::Array(keys)) = wanted.get_mut("featureFlags") {
            keys.sort_by_key(Value::to_string);
        }
        if json!(got) != wanted {
            found.push(format!("{path}: wanted {wanted}, got {}", json!(got)));
        }
    }
    found
}

#[test]
fn every_golden_case_answers_as_expected_in_every_shape() {
    let files = [
        include_str!("../golden/engine_examples.json"),
        include_str!("../golden/own.json"),
    ];
    let cases: Vec<Value> = files
        .into_iter()
        .flat_map(|text| serde_json::from_str::<Vec<Value>>(text).unwrap())
        .collect();
    assert!(cases.len() >= 230);
    let failures: Vec<String> = cases
        .iter()
        .flat_map(|case| {
            run(case)
                .into_iter()
                .map(|found| format!("{}: {found}", case["name"]))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} differences:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
