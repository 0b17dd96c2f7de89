//! Shrinks a case that shows a difference, and prints it in the golden format.

use serde_json::{Map, Value, json};

use super::metadata;
use super::model::Case;
use super::outcome::Outcome;

/// Names whose removal would change what a definition is instead of making it smaller.
const KEPT: [&str; 14] = [
    "id",
    "team_id",
    "key",
    "active",
    "type",
    "filters",
    "values",
    "value",
    "operator",
    "distinct_id",
    "exclusion_percentage",
    "evaluation_metadata",
    "is_static",
    "name",
];

/// The smallest case reachable by removing one list element or object entry at a time while `holds`
/// stays true. Metadata, if any, is written anew from what is left.
pub fn minimise(case: &Case, mut holds: impl FnMut(&Case) -> bool) -> Case {
    let mut best = case.clone();
    loop {
        let tree = serde_json::to_value(&best).expect("a case is plain data");
        let smaller = places(&tree).into_iter().find_map(|place| {
            let candidate = without(&tree, &place);
            candidates(&candidate)
                .into_iter()
                .find(|case| *case != best && holds(case))
        });
        match smaller {
            Some(case) => best = case,
            None => return best,
        }
    }
}

/// The changed tree as a case, with metadata as both kinds of writer would leave it, and without.
fn candidates(tree: &Value) -> Vec<Case> {
    let Ok(case) = serde_json::from_value::<Case>(tree.clone()) else {
        return Vec::new();
    };
    if case.evaluation_metadata.is_none() {
        return vec![case];
    }
    let plain = Case {
        evaluation_metadata: None,
        ..case.clone()
    };
    let mut all = vec![plain];
    for follow_inactive in [true, false] {
        let mut rewritten = case.clone();
        rewritten.evaluation_metadata = Some(metadata::write(&case.flags, follow_inactive));
        all.push(rewritten);
    }
    all
}

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

/// Every removable place, larger structures first.
fn places(tree: &Value) -> Vec<Vec<Step>> {
    let mut found = Vec::new();
    let mut open = vec![(Vec::new(), tree)];
    let mut at = 0;
    while at < open.len() {
        let (path, node): (Vec<Step>, &Value) = open[at].clone();
        at += 1;
        let in_variants = path
            .iter()
            .any(|step| matches!(step, Step::Key(key) if key == "variants"));
        let children: Vec<(Step, &Value, bool)> = match node {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (Step::Index(index), item, true))
                .collect(),
            Value::Object(entries) => entries
                .iter()
                .map(|(key, value)| {
                    let share = in_variants && key == "rollout_percentage";
                    (
                        Step::Key(key.clone()),
                        value,
                        !share && !KEPT.contains(&key.as_str()),
                    )
                })
                .collect(),
            _ => Vec::new(),
        };
        for (step, value, removable) in children {
            if matches!(&step, Step::Key(key) if key == "evaluation_metadata") {
                continue;
            }
            let mut path = path.clone();
            path.push(step);
            if removable {
                found.push(path.clone());
            }
            open.push((path, value));
        }
    }
    found
}

fn without(tree: &Value, place: &[Step]) -> Value {
    let mut tree = tree.clone();
    let Some((last, parents)) = place.split_last() else {
        return tree;
    };
    let mut node = &mut tree;
    for step in parents {
        node = match step {
            Step::Key(key) => &mut node[key.as_str()],
            Step::Index(index) => &mut node[*index],
        };
    }
    match (last, node) {
        (Step::Key(key), Value::Object(entries)) => {
            entries.remove(key);
        }
        (Step::Index(index), Value::Array(items)) => {
            items.remove(*index);
        }
        _ => {}
    }
    tree
}

/// The case with its outcome in the format of `tests/golden/engine_examples.json`.
pub fn golden(case: &Case, outcome: &Outcome) -> Value {
    let mut tree = serde_json::to_value(case).expect("a case is plain data");
    let mut expected = Map::new();
    let mut payloads = Map::new();
    for (key, flag) in &outcome.flags {
        expected.insert(
            key.clone(),
            json!({
                "enabled": flag.enabled,
                "variant": flag.variant,
                "reason_code": flag.reason_code,
                "condition_index": flag.condition_index,
            }),
        );
        if let Some(payload) = &flag.payload {
            payloads.insert(key.clone(), payload.clone());
        }
    }
    let omitted: Vec<&str> = case
        .flags
        .iter()
        .filter_map(|flag| flag["key"].as_str())
        .filter(|key| !outcome.flags.contains_key(*key))
        .collect();
    tree["expected_omitted"] = json!(omitted);
    tree["expected"] = Value::Object(expected);
    if !payloads.is_empty() {
        tree["expected_payloads"] = Value::Object(payloads);
    }
    tree["expected_errors_while_computing_flags"] = json!(outcome.errors);
    tree
}
