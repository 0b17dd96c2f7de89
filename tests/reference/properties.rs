//! Person and group properties as filters see them, `evaluation.md` 3.1, 14 and 15.

use serde_json::{Map, Value};

use super::model::Case;

/// A property source.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    pub values: Map<String, Value>,
    /// True when an absent key means "unknown" instead of "not set" (8.3).
    pub partial: bool,
}

/// 3.1 steps 1 and 3.
pub fn person_overrides(case: &Case) -> Map<String, Value> {
    let mut overrides = case.person_properties.clone();
    if !overrides.contains_key("distinct_id") {
        overrides.insert("distinct_id".to_owned(), Value::from(case.distinct_id.as_str()));
    }
    overrides
}

/// 3.1 step 4 for one group type.
pub fn group_overrides(case: &Case, group_type: &str) -> Map<String, Value> {
    let mut overrides = match case.group_properties.get(group_type) {
        Some(Value::Object(properties)) => properties.clone(),
        _ => Map::new(),
    };
    if let Some(key) = case.groups.get(group_type) {
        overrides.insert("$group_key".to_owned(), key.clone());
    }
    overrides
}

/// Merged person properties (section 15).
pub fn person(case: &Case, fetched: bool) -> Map<String, Value> {
    let mut merged = Map::new();
    if fetched
        && let Some(person) = &case.person
        && let Value::Object(stored) = &person.properties
    {
        merged = stored.clone();
    }
    for (key, value) in person_overrides(case) {
        merged.insert(key, value);
    }
    mirror(&mut merged, "$os", "$os_name");
    mirror(&mut merged, "$os_name", "$os");
    for name in BACKFILLED {
        let initial = format!("$initial_{}", name.strip_prefix('$').unwrap_or(name));
        if let Some(value) = merged.get(name).cloned()
            && !merged.contains_key(&initial)
        {
            merged.insert(initial, value);
        }
    }
    merged
}

/// 15.3: the second name gets the value of the first when only the first is present.
fn mirror(properties: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = properties.get(from).cloned()
        && !properties.contains_key(to)
    {
        properties.insert(to.to_owned(), value);
    }
}

/// Names of 15.4.
const BACKFILLED: [&str; 42] = [
    "$app_build",
    "$app_name",
    "$app_namespace",
    "$app_version",
    "$browser",
    "$browser_version",
    "$device_type",
    "$current_url",
    "$pathname",
    "$os",
    "$os_version",
    "$referring_domain",
    "$referrer",
    "$screen_height",
    "$screen_width",
    "$viewport_height",
    "$viewport_width",
    "$raw_user_agent",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
    "gclid",
    "gad_source",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "fbclid",
    "msclkid",
    "twclid",
    "li_fat_id",
    "mc_cid",
    "igshid",
    "ttclid",
    "rdt_cid",
    "epik",
    "qclid",
    "sccid",
    "irclid",
    "_kx",
];
