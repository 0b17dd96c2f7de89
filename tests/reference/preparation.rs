//! What is fetched and looked up before evaluation, `evaluation.md` 7.2, 8.1 and 14.3.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::dependencies::Plan;
use super::model::{Case, Condition, Filter, Flag};
use super::properties::{group_overrides, person_overrides};

/// Facts available to the flags of a request.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    /// Person, cohorts and static membership were loaded.
    pub ran: bool,
    /// Group type indexes whose stored properties were loaded.
    pub groups: BTreeSet<i64>,
    /// Continuity rows; none when there was no lookup.
    pub rows: Option<Map<String, Value>>,
}

/// Looks at the flags in the stages; the plan holds no left-out flag.
pub fn prepare(case: &Case, flags: &[Flag<'_>], plan: &Plan) -> Prepared {
    let staged: Vec<Flag<'_>> = flags
        .iter()
        .copied()
        .filter(|flag| plan.stages.iter().flatten().any(|id| *id == flag.id()))
        .collect();
    let requiring: Vec<Flag<'_>> = staged
        .iter()
        .copied()
        .filter(|flag| requires_preparation(case, *flag))
        .collect();
    let lookup = staged
        .iter()
        .any(|flag| flag.has_continuity() && hash_can_matter(*flag));
    Prepared {
        ran: !requiring.is_empty(),
        groups: requiring
            .into_iter()
            .flat_map(referenced_groups)
            .filter(|index| case.group_key(*index).is_some())
            .collect(),
        rows: lookup.then(|| case.hash_key_overrides.clone()),
    }
}

/// 7.1, second list.
fn hash_can_matter(flag: Flag<'_>) -> bool {
    let mut total = 0.0;
    let mut reachable = 0;
    for (_, share) in flag.variants() {
        if total >= 100.0 {
            break;
        }
        if share > 0.0 {
            reachable += 1;
        }
        total += share;
    }
    reachable > 1
        || flag
            .conditions()
            .into_iter()
            .any(|condition| rollout(condition) < 100.0)
}

fn rollout(condition: Condition<'_>) -> f64 {
    condition.rollout().unwrap_or(100.0)
}

/// 8.1, rule by rule.
fn requires_preparation(case: &Case, flag: Flag<'_>) -> bool {
    let overrides = person_overrides(case);
    let rule_1 = flag.aggregation().is_some();
    let rule_2 =
        flag.feature_enrollment() && !overrides.contains_key(&format!("$feature_enrollment/{}", flag.key()));
    let rule_3 = flag.super_groups().into_iter().any(|element| {
        rollout(element) > 0.0
            && element.filters().into_iter().any(|filter| {
                filter.kind() != "cohort" && filter.kind() != "flag" && !overrides.contains_key(filter.key())
            })
    });
    let rules_4_to_6 = flag.conditions().into_iter().any(|condition| {
        rollout(condition) > 0.0
            && condition.filters().into_iter().any(|filter| match filter.kind() {
                "person" | "person_metadata" => !overrides.contains_key(filter.key()),
                "group" => group_fetch_helps(case, flag, condition, filter),
                "cohort" => true,
                _ => false,
            })
    });
    rule_1 || rule_2 || rule_3 || rules_4_to_6
}

/// 8.1 rule 5.
fn group_fetch_helps(case: &Case, flag: Flag<'_>, condition: Condition<'_>, filter: Filter<'_>) -> bool {
    let Some(index) = filter.group_type_index().or_else(|| condition.aggregation(flag)) else {
        return false;
    };
    let Some(group_type) = case.group_type(index) else {
        return false;
    };
    case.group_key(index).is_some() && !group_overrides(case, group_type).contains_key(filter.key())
}

/// Indexes a flag mentions anywhere (14.3).
fn referenced_groups(flag: Flag<'_>) -> Vec<i64> {
    let mut indexes: Vec<i64> = flag.aggregation().into_iter().collect();
    for condition in flag.conditions() {
        let aggregation = condition.aggregation(flag);
        indexes.extend(aggregation);
        for filter in condition
            .filters()
            .into_iter()
            .filter(|filter| filter.kind() == "group")
        {
            indexes.extend(filter.group_type_index().or(aggregation));
        }
    }
    indexes
}
