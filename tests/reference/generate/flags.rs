//! Random flag definitions.

use serde_json::{Value, json};

use super::cohorts::COHORT_COUNT;
use super::filters;
use super::vocabulary::{self};
use crate::reference::prng::Prng;

const KEYS: [&str; 9] = [
    "alpha",
    "beta-search",
    "checkout.layout",
    "survey-targeting-1",
    "ключ",
    "early",
    "continuity",
    "f-7",
    "a b",
];

const VARIANTS: [&str; 6] = ["control", "test", "compact", "spacious", "d", "true"];

/// Shares of variants: exact, rounded, below and above 100, zero, negative.
const SHARES: &[&[f64]] = &[
    &[],
    &[100.0],
    &[40.0],
    &[50.0, 50.0],
    &[50.0, 25.0, 25.0],
    &[33.33, 33.33, 33.34],
    &[33.0, 33.0, 33.0],
    &[0.0, 100.0],
    &[100.0, 0.0, 50.0],
    &[16.67, 16.67, 16.67, 16.67, 16.67, 16.67],
    &[20.0, 20.0, 20.0, 20.0, 20.0],
    &[0.0, 0.0],
    &[12.5, -5.0, 80.0],
    &[60.0, 60.0],
];

/// One to seven flags with distinct keys and ids in a random order.
pub fn flags(random: &mut Prng) -> Vec<Value> {
    let count = 1 + random.weighted(&[18, 18, 18, 15, 13, 10, 8]);
    let first = random.below(KEYS.len());
    let mut flags: Vec<Value> = (1..=count)
        .map(|id| flag(random, id, count, KEYS[(first + id) % KEYS.len()]))
        .collect();
    for at in (1..flags.len()).rev() {
        let other = random.below(at + 1);
        flags.swap(at, other);
    }
    flags
}

fn flag(random: &mut Prng, id: usize, count: usize, key: &str) -> Value {
    let mut flag = json!({
        "id": id, "team_id": 1, "key": key, "version": id,
        "active": !random.chance(7), "deleted": random.chance(3),
    });
    if random.chance(2) {
        // Another configuration format: nothing in it is looked at.
        flag["filters"] = json!({"version": random.pick(&[2, 3]), "groups": []});
        return flag;
    }
    if random.chance(28) {
        flag["ensure_experience_continuity"] = json!(random.chance(90));
    }
    if random.chance(18) {
        flag["evaluation_runtime"] = choose!(random, ["client", "server", "all", "Server", "edge", null]);
    }
    if random.chance(18) {
        let name = *random.pick(&["evaluation_contexts", "evaluation_contexts", "evaluation_tags"]);
        flag[name] = json!(vocabulary::contexts(random));
    }
    if random.chance(18) {
        flag["bucketing_identifier"] = choose!(
            random,
            [
                "device_id",
                "device_id",
                "device_id",
                "distinct_id",
                "cookie",
                null
            ]
        );
    }
    flag["filters"] = filters(random, id, count, key);
    flag
}

fn filters(random: &mut Prng, id: usize, count: usize, key: &str) -> Value {
    let groups = random.weighted(&[3, 34, 28, 20, 15]);
    let groups: Vec<Value> = (0..groups).map(|_| condition(random, id, count)).collect();
    let mut filters = json!({"groups": groups});
    if random.chance(18) {
        filters["aggregation_group_type_index"] = choose!(random, [0, 0, 0, 0, 0, 1, 2, 5]);
    } else if random.chance(20) {
        filters["aggregation_group_type_index"] = json!(null);
    }
    if random.chance(55) {
        filters["multivariate"] = json!({"variants": variants(random)});
    } else if random.chance(10) {
        filters["multivariate"] = json!(null);
    }
    if random.chance(50) {
        filters["payloads"] = payloads(random);
    }
    if random.chance(12) {
        filters["feature_enrollment"] = choose!(random, [true, true, true, false, null]);
    }
    if random.chance(12) {
        filters["super_groups"] = super_groups(random, key);
    }
    if random.chance(10) {
        let share = choose!(random, [10, 10, 50, 92.5, 0, 100, 250, -5]);
        filters["holdout"] = json!({"id": 7, "exclusion_percentage": share});
    } else if random.chance(3) {
        filters["holdout"] = json!(null);
    }
    if random.chance(10) {
        filters["holdout_groups"] = holdout_groups(random);
    }
    if random.chance(15) {
        filters["early_exit"] = choose!(random, [true, true, false, null]);
    }
    if random.chance(3) {
        filters["version"] = json!(1);
    }
    filters
}

fn condition(random: &mut Prng, id: usize, count: usize) -> Value {
    let mut condition = json!({});
    let filters = random.weighted(&[16, 46, 26, 12]);
    if filters > 0 || random.chance(70) {
        let filters: Vec<Value> = (0..filters)
            .map(|_| match random.weighted(&[62, 13, 12, 13]) {
                0 => filters::person(random),
                1 => filters::group(random),
                2 => filters::cohort(random, 1..=COHORT_COUNT),
                _ => filters::flag(random, id, count),
            })
            .collect();
        condition["properties"] = json!(filters);
    } else if random.chance(50) {
        condition["properties"] = json!(null);
    }
    if let Some(rollout) = vocabulary::rollout(random) {
        condition["rollout_percentage"] = rollout;
    }
    if random.chance(18) {
        condition["variant"] = choose!(random, ["control", "test", "compact", "wide", null]);
    }
    if random.chance(14) {
        condition["aggregation_group_type_index"] = choose!(random, [null, null, 0, 0, 1, 5]);
    }
    condition
}

fn variants(random: &mut Prng) -> Vec<Value> {
    let shares = *random.pick(SHARES);
    VARIANTS
        .iter()
        .zip(shares)
        .map(|(key, share)| json!({"key": key, "name": null, "rollout_percentage": share}))
        .collect()
}

fn payloads(random: &mut Prng) -> Value {
    if random.chance(8) {
        return choose!(random, [null, "text", [1], 5, {}]);
    }
    let mut payloads = json!({});
    for key in [
        "true",
        "control",
        "test",
        "compact",
        "spacious",
        "holdout-7",
        "holdout",
        "false",
    ] {
        if random.chance(55) {
            payloads[key] = choose!(random, ["{\"a\":1}", "on", 5, 5.0, true, false, ["x", null], {"b": {"c": 1}}, "ü\"\\", ""]);
        }
    }
    payloads
}

/// Early access, legacy form: the property of the flag, sometimes beside another one.
fn super_groups(random: &mut Prng, key: &str) -> Value {
    let name = format!("$feature_enrollment/{key}");
    let mut filters = vec![json!({"key": name, "type": "person", "operator": "exact", "value": ["true"]})];
    if random.chance(20) {
        filters.push(filters::person(random));
    }
    let element = |random: &mut Prng, filters: &[Value]| {
        let mut element = json!({"properties": filters});
        if random.chance(40) {
            element["rollout_percentage"] = choose!(random, [0, 50, null, 100, 100]);
        } else {
            element["rollout_percentage"] = json!(100);
        }
        element
    };
    match random.weighted(&[80, 8, 6, 6]) {
        0 => json!([element(random, &filters)]),
        1 => {
            let first = element(random, &filters);
            let other = filters::person(random);
            json!([first, element(random, &[other])])
        }
        2 => json!([element(random, &[])]),
        _ => json!([]),
    }
}

/// Holdout, legacy form.
fn holdout_groups(random: &mut Prng) -> Value {
    if random.chance(8) {
        return json!([]);
    }
    let mut element = json!({"properties": choose!(random, [[], [], [], null])});
    if random.chance(15) {
        element["properties"] = json!([filters::person(random)]);
    }
    if let Some(rollout) = vocabulary::rollout(random) {
        element["rollout_percentage"] = rollout;
    }
    if random.chance(40) {
        element["variant"] = choose!(random, ["holdout-3", "control", null]);
    }
    json!([element])
}
