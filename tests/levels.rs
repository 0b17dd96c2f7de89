//! Every way of hashing gives the same records, and a flag's record does not depend on the flags beside it.

#[path = "../benches/support/workload.rs"]
#[allow(dead_code, reason = "shared with benches and examples")]
mod workload;

use feature_flags::definition::{RawFlag, RawProject};
use feature_flags::engine::{FlagResult, Level};
use feature_flags::evaluation::Scratch;
use feature_flags::snapshot::ProjectSnapshot;
use feature_flags::wire::scratch::DecodeScratch;
use feature_flags::wire::{Kludges, decode};
use serde_json::{Value, json};

/// Flags whose keys are of every length around the ends of blocks, with several conditions, pinned and hashed variants,
/// early exit, groups, devices, continuity, holdouts, early access and dependencies.
fn project(flags: usize) -> ProjectSnapshot {
    ProjectSnapshot::build(&definitions(flags))
}

fn definitions(flags: usize) -> RawProject {
    let variants = json!({"variants": [
        {"key": "a", "rollout_percentage": 33.3}, {"key": "b", "rollout_percentage": 33.3}, {"key": "c", "rollout_percentage": 20},
    ]});
    let filter = |at: usize| match at % 4 {
        0 => json!([{"key": "plan", "type": "person", "operator": "exact", "value": "pro"}]),
        1 => json!([{"key": "seats", "type": "person", "operator": "gt", "value": 20}]),
        _ => json!([]),
    };
    let flags: Vec<Value> = (0..flags)
        .map(|at| {
            let mut filters = json!({"groups": [
                {"properties": filter(at), "rollout_percentage": (at * 7) % 101},
                {"properties": filter(at / 3), "rollout_percentage": (at * 13) % 101},
                {"properties": filter(at / 5), "rollout_percentage": 40.5, "variant": if at % 6 == 0 { "b" } else { "none" }},
            ]});
            if at % 2 == 0 {
                filters["multivariate"] = variants.clone();
            }
            match at % 11 {
                1 => filters["aggregation_group_type_index"] = json!(0),
                2 => filters["groups"][1]["aggregation_group_type_index"] = json!(0),
                3 => filters["early_exit"] = json!(true),
                4 => filters["holdout"] = json!({"id": 7, "exclusion_percentage": 20}),
                5 => {
                    filters["holdout_groups"] =
                        json!([{"properties": [], "rollout_percentage": 15, "variant": "holdout-3"}]);
                }
                6 => {
                    filters["super_groups"] = json!([{"properties": [
                        {"key": "plan", "type": "person", "operator": "is_set", "value": "is_set"}
                    ], "rollout_percentage": 50}]);
                }
                7 if at > 20 => {
                    filters["groups"][2]["properties"] = json!([{
                        "key": (at - 20).to_string(), "type": "flag", "operator": "flag_evaluates_to", "value": true
                    }]);
                }
                _ => {}
            }
            json!({
                "id": at, "key": format!("f{at}-{}", "k".repeat(at * 5 % 131)), "active": true, "filters": filters,
                "bucketing_identifier": if at % 11 == 8 { "device_id" } else { "distinct_id" },
                "ensure_experience_continuity": at % 11 == 9,
            })
        })
        .collect();
    let mut raw = workload::project(&json!({ "flags": flags })).expect("the flags parse");
    raw.group_types = vec![(0, "company".into())];
    raw
}

fn body(number: usize, flag_key: Option<&str>) -> String {
    let mut body = json!({
        "distinct_id": "ü".repeat(number * 3 % 70) + &format!("person-{number}"),
        "$anon_distinct_id": format!("anonymous-{number}"),
        "$device_id": format!("device-{number}"),
        "groups": {"company": format!("company-{}", number % 5)},
        "person_properties": {"plan": (["free", "pro"])[number % 2], "seats": number % 40},
        "token": "phc_workload",
    });
    if let Some(key) = flag_key {
        body["flag_keys"] = json!([key]);
    }
    body.to_string()
}

fn records(snapshot: &ProjectSnapshot, body: &str, scratch: &mut Scratch) -> Vec<FlagResult> {
    let mut memory = DecodeScratch::new();
    let decoded = decode(
        &mut memory,
        body.as_bytes(),
        workload::JSON,
        &mut Kludges::default(),
    );
    let decoded = decoded.expect("a request");
    workload::evaluate_now(snapshot, &decoded.request(), &workload::settings(None), scratch);
    scratch.results().to_vec()
}

#[test]
fn every_level_and_every_flag_alone() {
    // Questions to the store have a deadline, though nothing here waits for its answer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    for flags in [1, 7, 8, 9, 40, 300] {
        let snapshot = project(flags);
        let mut alone = Scratch::with_level(Level::PORTABLE);
        let mut scratches: Vec<(&str, Scratch)> = Level::NAMES
            .into_iter()
            .filter_map(|name| Some((name, Scratch::with_level(Level::named(name)?))))
            .collect();
        let mut reasons = std::collections::HashSet::new();
        for number in 0..40 {
            let expected = records(&snapshot, &body(number, None), &mut scratches[0].1);
            assert_eq!(expected.len(), flags);
            for (name, scratch) in &mut scratches[1..] {
                let found = records(&snapshot, &body(number, None), scratch);
                assert_eq!(found, expected, "{name}, {flags} flags, person {number}");
            }
            reasons.extend(expected.iter().map(|result| result.reason));
            for result in expected.iter().skip(number % 7).step_by(7) {
                let key = &*snapshot.project.flag(result.flag).key;
                let found = records(&snapshot, &body(number, Some(key)), &mut alone);
                assert!(
                    found.contains(result),
                    "{key}: {found:?} alone, {result:?} among {flags}"
                );
            }
        }
        assert!(flags < 40 || reasons.len() >= 5, "{reasons:?}");
    }
}

/// A flag with a missing dependency makes a request look at each flag from its beginning: what is settled at load must
/// say the same.
#[test]
fn openings_and_walks_agree() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let mut definitions = definitions(300);
    let variants = json!({"variants": [{"key": "a", "rollout_percentage": 50}, {"key": "b", "rollout_percentage": 49.5}]});
    let plan = json!({"key": "plan", "type": "person", "operator": "exact", "value": "pro"});
    let absent = json!({"key": "nobody-sends-this", "type": "person", "operator": "is_not", "value": "x"});
    // Every shape of a first condition: share, filters, pinned or hashed variant, further conditions, early exit.
    for shape in 0..2 * 3 * 3 * 2 * 2 * 3 {
        let (mut rest, mut digits) = (shape, Vec::new());
        for base in [2, 3, 3, 2, 2, 3] {
            digits.push(rest % base);
            rest /= base;
        }
        let properties = [vec![], vec![&plan], vec![&plan, &absent]];
        let share = [100.0, 45.5, 0.0][digits[2]];
        let mut first = json!({"properties": properties[digits[1]], "rollout_percentage": share});
        if digits[3] == 1 {
            first["variant"] = json!("b");
        }
        let mut groups = vec![first];
        if digits[4] == 1 {
            groups.push(json!({"properties": [&plan], "rollout_percentage": 70}));
        }
        let mut filters = json!({"groups": groups});
        if digits[0] == 1 {
            filters["multivariate"] = variants.clone();
        }
        if digits[5] == 1 {
            filters["early_exit"] = json!(true);
        }
        let flag = json!({
            "id": 1_000 + shape, "key": format!("shape-{shape}"), "active": true, "filters": filters,
            "ensure_experience_continuity": digits[5] == 2,
        });
        definitions
            .flags
            .push(sonic_rs::from_str::<RawFlag>(&flag.to_string()).expect("a flag"));
    }
    let opened = ProjectSnapshot::build(&definitions);
    let lacking = json!({"id": 9_999, "key": "lacking", "active": true, "filters": {"groups": [{"properties": [
        {"key": "12345678", "type": "flag", "operator": "flag_evaluates_to", "value": true}
    ]}]}});
    definitions
        .flags
        .push(sonic_rs::from_str::<RawFlag>(&lacking.to_string()).expect("a flag"));
    let walked = ProjectSnapshot::build(&definitions);
    let by_key = |snapshot: &ProjectSnapshot, results: &[FlagResult]| {
        let mut records: Vec<_> = results
            .iter()
            .map(|result| {
                let key = snapshot.project.flag(result.flag).key.to_string();
                (key, result.value, result.reason, result.condition)
            })
            .filter(|(key, ..)| key != "lacking")
            .collect();
        records.sort_by(|left, right| left.0.cmp(&right.0));
        records
    };
    let (mut with_openings, mut with_walks) = (Scratch::default(), Scratch::default());
    for number in 0..60 {
        let body = body(number, None);
        let expected = by_key(&walked, &records(&walked, &body, &mut with_walks));
        let found = by_key(&opened, &records(&opened, &body, &mut with_openings));
        assert_eq!(expected.len(), 300 + 216);
        assert_eq!(found, expected, "person {number}");
    }
}
