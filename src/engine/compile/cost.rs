//! What evaluating and encoding a flag costs, estimated at load in instructions.
//!
//! The estimate need not be right, only fair: it decides which requests are dear and where they are cut into slices. The
//! constants are rounded from instruction counts of `benches/instructions.json`; none follows the request.

use crate::engine::project::{Condition, EarlyAccess, Filter, Flag, Holdout};
use crate::engine::test::Tests;

/// Choosing, hashing and encoding a flag with one condition, without its filters.
const FLAG: u32 = 400;
/// Every condition beside its filters, a hash included.
const CONDITION: u32 = 200;
/// A comparison.
const FILTER: u32 = 80;
/// A search: patterns are bounded in steps, and few come near the bound.
const PATTERN: u32 = 3_000;
/// Membership of a cohort, which is found out once a request, whoever asks.
const COHORT: u32 = 500;
/// A holdout or early access.
const BEFORE_CONDITIONS: u32 = 300;
/// Bytes of payload copied an instruction, page faults of the answer included.
const PAYLOAD_BYTES: usize = 4;

/// Instructions of one flag; at least [`FLAG`].
pub(super) fn flag_cost(flag: &Flag, conditions: &[Condition], filters: &[Filter], tests: &Tests) -> u32 {
    let own = conditions.get(flag.conditions.start as usize..flag.conditions.end as usize);
    let tried: u32 = own
        .unwrap_or_default()
        .iter()
        .map(|condition| condition_cost(condition, filters, tests))
        .fold(0, u32::saturating_add);
    let before = match (&flag.early_access, &flag.holdout) {
        (EarlyAccess::None, Holdout::None) => 0,
        _ => BEFORE_CONDITIONS,
    };
    let payloads = flag.variant_payloads.iter().chain([&flag.payload]);
    let payload = payloads.flatten().map(|text| text.len()).max().unwrap_or(0) / PAYLOAD_BYTES;
    FLAG.saturating_add(tried)
        .saturating_add(before)
        .saturating_add(u32::try_from(payload).unwrap_or(u32::MAX))
}

fn condition_cost(condition: &Condition, filters: &[Filter], tests: &Tests) -> u32 {
    let own = filters.get(condition.filters.start as usize..condition.filters.end as usize);
    let compared = own.unwrap_or_default().iter().map(|filter| match filter {
        Filter::Property(test) if tests.get(*test).is_some_and(|test| test.matcher.is_pattern()) => PATTERN,
        _ => FILTER,
    });
    let cohorts = condition.cohort_filters.end - condition.cohort_filters.start;
    compared
        .fold(CONDITION, u32::saturating_add)
        .saturating_add(cohorts.saturating_mul(COHORT))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::definition::RawProject;
    use crate::engine::value::{OwnedTape, PropertyValue};
    use crate::engine::{SelectionQuery, SelectionScratch, compile};

    fn cost(flags: serde_json::Value, keys: Option<&str>) -> u64 {
        let raw = RawProject {
            flags: sonic_rs::from_str(&flags.to_string()).expect("flags"),
            ..RawProject::default()
        };
        let project = compile(&raw);
        let tape = keys.map(|key| OwnedTape::from_json(&json!([key])));
        let nodes = tape.as_ref().map(OwnedTape::nodes);
        let flag_keys = nodes
            .as_ref()
            .and_then(|nodes| match PropertyValue::from_tape(nodes) {
                PropertyValue::Array(keys) => Some(keys),
                _ => None,
            });
        let query = SelectionQuery {
            flag_keys,
            ..SelectionQuery::default()
        };
        let mut scratch = SelectionScratch::default();
        project.select(&query, &mut scratch).cost()
    }

    fn flag(id: i32, filters: serde_json::Value) -> serde_json::Value {
        json!({ "id": id, "key": format!("flag-{id}"), "active": true, "filters": {
            "groups": [{ "rollout_percentage": 50, "properties": filters }] } })
    }

    #[test]
    fn flags_filters_and_patterns_add_up_and_a_few_keys_of_many_are_cheap() {
        let plain = cost(json!([flag(1, json!([]))]), None);
        let compared = json!([{ "key": "a", "value": "b", "operator": "exact", "type": "person" }]);
        let searched = json!([{ "key": "a", "value": "^b", "operator": "regex", "type": "person" }]);
        let compared = cost(json!([flag(1, compared)]), None);
        let searched = cost(json!([flag(1, searched)]), None);
        assert!(
            plain < compared && compared < searched,
            "{plain} {compared} {searched}"
        );
        let many: Vec<_> = (1..=100).map(|id| flag(id, json!([]))).collect();
        assert_eq!(cost(json!(many), None), 100 * plain);
        assert_eq!(cost(json!(many), Some("flag-7")), plain);
    }
}
