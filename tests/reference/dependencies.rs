//! Stages, missing dependencies and cycles, `evaluation.md` section 6.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::left_out::is_left_out;
use super::model::{Case, Flag};
use super::reading::Reading;

/// What is evaluated, in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Flag ids; a flag stands after everything it depends on. Left-out flags are not in it.
    pub stages: Vec<Vec<i64>>,
    /// Flags that end as `missing_dependency`.
    pub missing: BTreeSet<i64>,
    /// Whether a cycle exists among the flags that are not left out.
    pub cycle: bool,
}

/// Dependencies by flag id.
pub type Edges = BTreeMap<i64, BTreeSet<i64>>;

/// Everything reachable over one or more edges.
pub fn reachable(edges: &Edges, from: i64) -> BTreeSet<i64> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        for target in edges.get(&id).into_iter().flatten() {
            if found.insert(*target) {
                open.push(*target);
            }
        }
    }
    found
}

/// Flags that depend, directly or not, on an id that does not exist.
pub fn missing(edges: &Edges) -> BTreeSet<i64> {
    edges
        .keys()
        .copied()
        .filter(|id| {
            reachable(edges, *id)
                .iter()
                .any(|target| !edges.contains_key(target))
        })
        .collect()
}

/// Members of cycles and everything that depends on them.
pub fn cyclic(edges: &Edges) -> BTreeSet<i64> {
    let members: BTreeSet<i64> = edges
        .keys()
        .copied()
        .filter(|id| reachable(edges, *id).contains(id))
        .collect();
    edges
        .keys()
        .copied()
        .filter(|id| members.contains(id) || !reachable(edges, *id).is_disjoint(&members))
        .collect()
}

/// Stages over `ids`: each flag as soon as its dependencies within `ids` are placed.
pub fn stages(edges: &Edges, ids: &BTreeSet<i64>) -> Vec<Vec<i64>> {
    let mut stages = Vec::new();
    let mut waiting = ids.clone();
    while !waiting.is_empty() {
        let ready: Vec<i64> = waiting
            .iter()
            .copied()
            .filter(|id| edges[id].is_disjoint(&waiting))
            .collect();
        assert!(!ready.is_empty(), "cycles are removed before stages are made");
        for id in &ready {
            waiting.remove(id);
        }
        stages.push(ready);
    }
    stages
}

/// The plan of a request.
pub fn plan(case: &Case, flags: &[Flag<'_>], reading: Reading) -> Plan {
    match &case.evaluation_metadata {
        Some(metadata) if has_stages(metadata) => from_metadata(case, flags, metadata, reading),
        // An empty stage list beside flags is rebuilt from the graph.
        _ => from_graph(case, flags),
    }
}

fn has_stages(metadata: &Value) -> bool {
    metadata["dependency_stages"]
        .as_array()
        .is_some_and(|stages| !stages.is_empty())
}

fn edges_without_left_out(case: &Case, flags: &[Flag<'_>]) -> Edges {
    flags
        .iter()
        .map(|flag| {
            let targets = if is_left_out(case, *flag) {
                BTreeSet::new()
            } else {
                flag.dependencies().into_iter().collect()
            };
            (flag.id(), targets)
        })
        .collect()
}

/// 6.3.
fn from_graph(case: &Case, flags: &[Flag<'_>]) -> Plan {
    let edges = edges_without_left_out(case, flags);
    let cyclic = cyclic(&edges);
    let mut chosen: BTreeSet<i64> = edges.keys().copied().filter(|id| !cyclic.contains(id)).collect();
    if let Some(needed) = needed(case, flags, |id| reachable(&edges, id)) {
        chosen.retain(|id| needed.contains(id));
    }
    for flag in flags.iter().filter(|flag| is_left_out(case, **flag)) {
        chosen.remove(&flag.id());
    }
    Plan {
        stages: stages(&edges, &chosen),
        missing: missing(&edges),
        cycle: !cyclic.is_empty(),
    }
}

/// 6.4.
fn from_metadata(case: &Case, flags: &[Flag<'_>], metadata: &Value, reading: Reading) -> Plan {
    let existing: BTreeSet<i64> = flags.iter().map(|flag| flag.id()).collect();
    let left_out: BTreeSet<i64> = flags
        .iter()
        .filter(|flag| is_left_out(case, **flag))
        .map(|flag| flag.id())
        .collect();
    let empty = serde_json::Map::new();
    let closures = metadata["transitive_deps"].as_object().unwrap_or(&empty);
    let needed = if closures.is_empty() && !reading.empty_closure_restricts {
        None
    } else if reading.closure_stops_at_left_out {
        let edges = edges_without_left_out(case, flags);
        needed(case, flags, |id| reachable(&edges, id))
    } else {
        needed(case, flags, |id| {
            closures.get(&id.to_string()).map(ids).unwrap_or_default()
        })
    };
    let wanted = |id: &i64| !left_out.contains(id) && needed.as_ref().is_none_or(|ids| ids.contains(id));

    let staged: Vec<BTreeSet<i64>> = metadata["dependency_stages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(ids)
        .collect();
    let staged_kept: usize = staged
        .iter()
        .flatten()
        .filter(|id| !left_out.contains(id))
        .count();
    Plan {
        stages: staged
            .iter()
            .map(|stage| {
                stage
                    .iter()
                    .copied()
                    .filter(|id| existing.contains(id) && wanted(id))
                    .collect()
            })
            .filter(|stage: &Vec<i64>| !stage.is_empty())
            .collect(),
        missing: ids(&metadata["flags_with_missing_deps"])
            .into_iter()
            .filter(|id| wanted(id))
            .collect(),
        cycle: flags
            .len()
            .saturating_sub(left_out.len())
            .saturating_sub(staged_kept)
            > 0,
    }
}

fn ids(value: &Value) -> BTreeSet<i64> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_i64)
        .collect()
}

/// 6.5: requested flags and their dependencies; none when the request does not restrict.
fn needed(case: &Case, flags: &[Flag<'_>], closure: impl Fn(i64) -> BTreeSet<i64>) -> Option<BTreeSet<i64>> {
    let keys = case.flag_keys.as_ref()?;
    let mut needed = BTreeSet::new();
    for flag in flags
        .iter()
        .filter(|flag| keys.iter().any(|key| key == flag.key()))
    {
        needed.insert(flag.id());
        needed.extend(closure(flag.id()));
    }
    Some(needed)
}
