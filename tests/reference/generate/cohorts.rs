//! Random cohort definitions.

use serde_json::{Value, json};

use super::filters;
use super::vocabulary::{self, Kind};
use crate::reference::prng::Prng;

/// Cohort ids run from 1 to this number; a few of them do not exist.
pub const COHORT_COUNT: i64 = 6;

/// The team's cohorts.
pub fn cohorts(random: &mut Prng) -> Vec<Value> {
    (1..=COHORT_COUNT)
        .filter(|_| random.chance(96))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|id| cohort(random, id))
        .collect()
}

fn cohort(random: &mut Prng, id: i64) -> Value {
    let mut cohort = json!({"id": id, "team_id": 1, "deleted": random.chance(2), "is_static": false});
    match random.weighted(&[24, 5, 12, 59]) {
        0 => {
            cohort["is_static"] = json!(true);
            // Whatever a static cohort's filters say does not matter.
            cohort["filters"] = if random.chance(20) {
                filters(random, id)
            } else {
                json!(null)
            };
        }
        1 => cohort["filters"] = json!(null),
        2 => {
            if random.chance(50) {
                cohort["filters"] = json!(null);
            }
            cohort["groups"] = legacy(random);
        }
        _ => {
            cohort["filters"] = filters(random, id);
            if random.chance(10) {
                // Not used beside filters.
                cohort["groups"] = legacy(random);
            }
        }
    }
    if random.chance(20) {
        cohort["cohort_type"] = choose!(
            random,
            [
                "static",
                "person_property",
                "behavioral",
                "realtime",
                "analytical",
                null
            ]
        );
    }
    cohort
}

fn filters(random: &mut Prng, id: i64) -> Value {
    let count = [0, 1, 1, 1, 2, 2, 3][random.below(7)];
    let values: Vec<Value> = (0..count).map(|_| inner(random, id, 0)).collect();
    json!({"properties": {"type": random.pick(&["AND", "OR"]), "values": values}})
}

fn inner(random: &mut Prng, id: i64, depth: usize) -> Value {
    let kind = if random.chance(1) {
        "XOR"
    } else {
        *random.pick(&["AND", "OR", "property"])
    };
    let count = [0, 1, 1, 1, 2, 2, 3][random.below(7)];
    let values: Vec<Value> = (0..count)
        .map(|_| {
            if depth < 2 && random.chance(8) {
                inner(random, id, depth + 1)
            } else {
                leaf(random, id)
            }
        })
        .collect();
    json!({"type": kind, "values": values})
}

fn leaf(random: &mut Prng, id: i64) -> Value {
    let mut leaf = match random.weighted(&[72, 20, 8]) {
        0 => filters::person(random),
        // Mostly cohorts with lower ids: cycles stay rare.
        1 if id > 1 && random.chance(94) => filters::cohort(random, 1..=id - 1),
        1 => filters::cohort(random, 1..=COHORT_COUNT),
        _ => choose!(random, [
            {"type": "behavioral", "key": "$pageview", "value": "performed_event", "event_type": "events"},
            {"type": "event", "key": "price", "value": 5, "operator": "gt"},
            {"type": "lifecycle", "key": "x", "value": "new"}
        ]),
    };
    if random.chance(25) {
        leaf["negation"] = json!(random.chance(85));
    }
    leaf
}

fn legacy(random: &mut Prng) -> Value {
    match random.below(12) {
        0 => return json!([]),
        1 => return json!({}),
        2 => return json!(null),
        _ => {}
    }
    let count = 1 + random.below(2);
    (0..count).map(|_| legacy_group(random)).collect()
}

fn legacy_group(random: &mut Prng) -> Value {
    match random.weighted(&[50, 15, 20, 8, 7]) {
        0 => {
            let count = 1 + random.below(2);
            let filters: Vec<Value> = (0..count)
                .map(|_| {
                    let mut filter = filters::person(random);
                    match random.below(4) {
                        0 => filter["type"] = json!("event"),
                        1 => filter["type"] = json!(null),
                        2 => {
                            filter.as_object_mut().and_then(|entries| entries.remove("type"));
                        }
                        _ => {}
                    }
                    filter
                })
                .collect();
            json!({"properties": filters})
        }
        1 => json!({"properties": inner_without_errors(random)}),
        2 => json!({"properties": {"plan": vocabulary::value(random, Kind::Word)}}),
        3 => json!({"action_id": 5}),
        _ => json!({"event_id": "$pageview"}),
    }
}

fn inner_without_errors(random: &mut Prng) -> Value {
    json!({"type": random.pick(&["AND", "OR"]), "values": [filters::person(random), filters::person(random)]})
}
