//! The writer's side of `evaluation_metadata` (`evaluation.md` 2.6, 6.3), over flags that are not deleted.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::dependencies::{Edges, cyclic, missing, reachable, stages};
use super::model::Flag;

/// Metadata of a team's flags. The writer does not know the request; whether it follows the
/// dependencies of inactive flags is open, so both are offered.
pub fn write(flags: &[Value], follow_inactive: bool) -> Value {
    let edges: Edges = flags
        .iter()
        .map(Flag)
        .filter(|flag| !flag.is("deleted"))
        .map(|flag| {
            let follow = follow_inactive || flag.is("active");
            let targets = if follow { flag.dependencies() } else { Vec::new() };
            (flag.id(), targets.into_iter().collect())
        })
        .collect();
    let cyclic = cyclic(&edges);
    let placed: BTreeSet<i64> = edges.keys().copied().filter(|id| !cyclic.contains(id)).collect();
    let broken: BTreeSet<i64> = missing(&edges).union(&cyclic).copied().collect();
    let transitive: Map<String, Value> = edges
        .keys()
        .map(|id| {
            let mut targets = reachable(&edges, *id);
            targets.retain(|target| edges.contains_key(target));
            (id.to_string(), json!(targets))
        })
        .collect();
    json!({
        "dependency_stages": stages(&edges, &placed),
        "flags_with_missing_deps": broken,
        "transitive_deps": transitive,
    })
}
