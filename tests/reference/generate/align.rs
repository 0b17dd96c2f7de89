//! Lets filters meet the facts of their case: without this, most operators would nearly always miss.

use serde_json::{Map, Value, json};

use crate::reference::model::Case;
use crate::reference::prng::Prng;

/// Replaces some filter values by ones made from the property they look at.
pub fn align(random: &mut Prng, case: &mut Case) {
    let mut facts = Map::new();
    if let Some(person) = &case.person
        && let Value::Object(stored) = &person.properties
    {
        facts.extend(stored.clone());
    }
    facts.extend(case.person_properties.clone());
    let group_facts: Map<String, Value> = case
        .stored_group_properties
        .values()
        .chain(case.group_properties.values())
        .filter_map(Value::as_object)
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for definition in case.flags.iter_mut().chain(&mut case.cohorts) {
        walk(random, definition, &facts, &group_facts);
    }
}

/// Every object with a key, an operator and a value is a filter.
fn walk(random: &mut Prng, node: &mut Value, person: &Map<String, Value>, group: &Map<String, Value>) {
    let facts = match node["type"].as_str() {
        Some("person") => Some(person),
        Some("group") => Some(group),
        _ => None,
    };
    if let Some(facts) = facts
        && node.get("value").is_some()
        && let Some(fact) = node["key"].as_str().and_then(|key| facts.get(key))
        && random.chance(60)
    {
        let operator = node["operator"].as_str().unwrap_or("exact").to_owned();
        if let Some(value) = fitting(random, &operator, fact) {
            node["value"] = value;
        }
    }
    match node {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| walk(random, item, person, group)),
        Value::Object(entries) => entries
            .values_mut()
            .for_each(|value| walk(random, value, person, group)),
        _ => {}
    }
}

/// A value under which the operator has a fair chance to match the fact.
fn fitting(random: &mut Prng, operator: &str, fact: &Value) -> Option<Value> {
    let text = fact.as_str();
    if random.chance(60)
        && let Some(value) = beyond(operator, fact)
    {
        return Some(value);
    }
    match operator {
        "exact" | "is_not" => Some(if random.chance(30) {
            json!(["other", fact])
        } else {
            fact.clone()
        }),
        "icontains" | "not_icontains" | "starts_with" | "not_starts_with" => Some(Value::from(
            text?.chars().take(3).collect::<String>().to_ascii_uppercase(),
        )),
        "ends_with" | "not_ends_with" => {
            let skipped = text?.chars().count().saturating_sub(2);
            Some(Value::from(text?.chars().skip(skipped).collect::<String>()))
        }
        "icontains_multi" | "not_icontains_multi" => Some(json!(["nothing", text?])),
        "regex" | "not_regex" => {
            let plain = !text?.is_empty() && text?.chars().all(char::is_alphanumeric);
            plain.then(|| Value::from(format!("^{}", text.unwrap_or_default())))
        }
        "gt" | "gte" | "lt" | "lte" => fact.is_number().then(|| fact.clone()),
        "between" | "not_between" => fact.is_number().then(|| json!([fact, fact])),
        "is_date_exact" | "is_date_after" | "is_date_before" => {
            // Texts of digits are left to the best-effort parser on the filter side.
            let decided = text?.parse::<f64>().is_err();
            decided.then(|| fact.clone())
        }
        other if other.starts_with("semver_") => text.map(Value::from),
        _ => None,
    }
}

/// For strict orders: a value the fact lies beyond.
fn beyond(operator: &str, fact: &Value) -> Option<Value> {
    match (operator, fact) {
        ("gt", Value::Number(number)) if small(fact) => Some(json!(number.as_f64()?.floor() - 1.0)),
        ("lt", Value::Number(number)) if small(fact) => Some(json!(number.as_f64()?.floor() + 1.5)),
        ("semver_gt", Value::String(_)) => Some(json!("v0.0.1")),
        ("semver_lt", Value::String(_)) => Some(json!("99.0")),
        ("is_date_after", _) => Some(json!("1959-12-31")),
        ("is_date_before", _) => Some(json!("2030-01-01 00:00")),
        _ => None,
    }
}

/// Far below the numbers whose last digit some JSON readers get wrong.
fn small(fact: &Value) -> bool {
    fact.as_f64().is_some_and(|number| number.abs() < 1e15)
}
