//! Random cases from a seed.
//!
//! The vocabulary is small, so that conditions match about as often as they miss. Not generated: what the
//! specification leaves to the clock or to a library (best-effort date forms, object key order, exponents of
//! large floats, unknown timezones, empty anonymous ids, person metadata).

/// One element of a constant JSON list; the list is made once.
macro_rules! choose {
    ($random:expr, $values:tt) => {{
        static VALUES: std::sync::LazyLock<Vec<serde_json::Value>> =
            std::sync::LazyLock::new(|| match serde_json::json!($values) {
                serde_json::Value::Array(values) => values,
                other => vec![other],
            });
        $random.pick(&VALUES).clone()
    }};
}
use choose;

mod align;
mod cohorts;
mod filters;
mod flags;
mod vocabulary;

use serde_json::{Map, Value, json};

use super::metadata;
use super::model::{Case, StoredPerson};
use super::prng::Prng;
use vocabulary::{GROUP_KEYS, PERSON_KEYS};

/// Cases of a seed and its successors.
pub fn cases(seed: u64, count: u64) -> impl Iterator<Item = Case> {
    (seed..seed + count).map(case)
}

/// The case of a seed, always the same.
pub fn case(seed: u64) -> Case {
    let mut random = Prng::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let random = &mut random;
    let flags = flags::flags(random);
    let keys: Vec<String> = flags
        .iter()
        .filter_map(|flag| flag["key"].as_str())
        .map(str::to_owned)
        .collect();
    let evaluation_metadata = random
        .chance(40)
        .then(|| metadata::write(&flags, random.chance(50)));
    let mut case = Case {
        name: format!("generated.{seed}"),
        note: None,
        evaluation_metadata,
        cohorts: cohorts::cohorts(random),
        distinct_id: distinct_id(random),
        device_id: random
            .chance(55)
            .then(|| (*random.pick(&["device-a", "device-b", "device-c", ""])).to_owned()),
        anon_distinct_id: random.chance(40).then(|| format!("anon-{}", random.below(9))),
        person_properties: person_properties(random, &keys),
        groups: groups(random),
        group_properties: group_properties(random, 45),
        person: random.chance(65).then(|| stored_person(random, &keys)),
        stored_group_properties: group_properties(random, 60),
        group_type_mapping: mapping(random),
        hash_key_overrides: overrides(random, &keys),
        flag_keys: flag_keys(random, &keys),
        evaluation_runtime: runtime(random),
        evaluation_contexts: random.chance(25).then(|| vocabulary::contexts(random)),
        only_evaluate_survey_feature_flags: random.chance(4),
        now: random
            .chance(60)
            .then(|| (*random.pick(&vocabulary::CLOCKS)).to_owned()),
        timezone: random
            .chance(50)
            .then(|| (*random.pick(&vocabulary::ZONES)).to_owned()),
        flags,
    };
    align::align(random, &mut case);
    case
}

fn distinct_id(random: &mut Prng) -> String {
    match random.weighted(&[70, 12, 8, 6, 4]) {
        0 => format!("user-{}", random.below(200)),
        1 => (*random.pick(&["8675309", "user 1", "ABC", "abc"])).to_owned(),
        2 => "ünïcødé-😀".to_owned(),
        3 => String::new(),
        _ => "a".repeat(200),
    }
}

fn person_properties(random: &mut Prng, flag_keys: &[String]) -> Map<String, Value> {
    let share = *random.pick(&[5, 30, 60, 90]);
    let mut properties = Map::new();
    for (key, kind) in PERSON_KEYS {
        if *key != "never" && random.chance(share) {
            properties.insert((*key).to_owned(), vocabulary::stored(random, *kind));
        }
    }
    for key in flag_keys {
        if random.chance(25) {
            let value = choose!(
                random,
                ["true", "true", true, "True", "false", false, null, ["true"]]
            );
            properties.insert(format!("$feature_enrollment/{key}"), value);
        }
    }
    properties
}

fn stored_person(random: &mut Prng, flag_keys: &[String]) -> StoredPerson {
    let properties = if random.chance(3) {
        choose!(random, [null, [1], "text"])
    } else {
        Value::Object(person_properties(random, flag_keys))
    };
    let static_cohorts = (1..=cohorts::COHORT_COUNT)
        .filter(|_| random.chance(50))
        .collect();
    StoredPerson {
        properties,
        static_cohorts,
    }
}

fn mapping(random: &mut Prng) -> Map<String, Value> {
    let mapping = match random.weighted(&[85, 8, 7]) {
        0 => json!({"organization": 0, "project": 1, "instance": 2}),
        1 => json!({"project": 1}),
        _ => json!({}),
    };
    object(mapping)
}

fn groups(random: &mut Prng) -> Map<String, Value> {
    let mut groups = Map::new();
    for (name, share) in [
        ("organization", 65),
        ("project", 45),
        ("instance", 20),
        ("unmapped", 5),
    ] {
        if random.chance(share) {
            let key = match random.weighted(&[60, 25, 15]) {
                0 => json!(format!("org-{}", random.below(20))),
                1 => choose!(random, [42, 42.0, "user-61", -7]),
                _ => choose!(random, ["", true, null, ["x"], {"a": 1}]),
            };
            groups.insert(name.to_owned(), key);
        }
    }
    groups
}

fn group_properties(random: &mut Prng, share: usize) -> Map<String, Value> {
    let mut all = Map::new();
    for name in ["organization", "project", "instance"] {
        if random.chance(share) {
            let mut properties = Map::new();
            for (key, kind) in GROUP_KEYS {
                if random.chance(45) {
                    properties.insert((*key).to_owned(), vocabulary::stored(random, *kind));
                }
            }
            all.insert(name.to_owned(), Value::Object(properties));
        }
    }
    all
}

fn overrides(random: &mut Prng, flag_keys: &[String]) -> Map<String, Value> {
    let mut rows = Map::new();
    if random.chance(55) {
        for key in flag_keys {
            if random.chance(60) {
                rows.insert(key.clone(), json!(format!("anon-{}", random.below(9))));
            }
        }
    }
    rows
}

fn flag_keys(random: &mut Prng, keys: &[String]) -> Option<Vec<String>> {
    if !random.chance(20) {
        return None;
    }
    let mut chosen: Vec<String> = keys.iter().filter(|_| random.chance(40)).cloned().collect();
    if random.chance(15) {
        chosen.push("no-such-flag".to_owned());
    }
    Some(chosen)
}

fn runtime(random: &mut Prng) -> Option<String> {
    let runtime = match random.weighted(&[25, 45, 15, 15]) {
        0 => return None,
        1 => "all",
        2 => "client",
        _ => "server",
    };
    Some(runtime.to_owned())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(entries) => entries,
        _ => Map::new(),
    }
}
