//! Which flags depend on which, and the order in which they are evaluated (`evaluation.md` 6).

use std::collections::HashMap;

use ahash::RandomState;

use crate::definition::{FilterType, RawFlag};
use crate::engine::bitset::BitSet;
use crate::engine::graph::{Graph, Precomputed, Resolution};
use crate::engine::project::Dependencies;

/// Dependencies of `groups` only (6.1): filters of type flag whose key is an integer.
pub(super) fn graph(flags: &[&RawFlag]) -> Graph {
    let positions: HashMap<i64, usize, RandomState> = flags
        .iter()
        .enumerate()
        .map(|(at, flag)| (i64::from(flag.id), at))
        .collect();
    let mut dangling = BitSet::new(flags.len());
    let mut targets = vec![Vec::new(); flags.len()];
    for (at, flag) in flags.iter().enumerate() {
        for filter in flag
            .filters
            .groups
            .iter()
            .flat_map(|set| set.properties.iter().flatten())
        {
            if filter.filter_type != FilterType::Flag {
                continue;
            }
            let Ok(id) = filter.key.parse::<i64>() else {
                continue;
            };
            match positions.get(&id) {
                Some(target) if !targets[at].contains(target) => targets[at].push(*target),
                Some(_) => {}
                None => {
                    dangling.insert(at);
                }
            }
        }
    }
    Graph { targets, dangling }
}

pub(super) fn evaluation_order(flags: usize, resolution: &Resolution) -> Vec<usize> {
    let mut seen = BitSet::new(flags);
    let mut order: Vec<usize> = resolution
        .stages
        .iter()
        .flatten()
        .copied()
        .filter(|flag| seen.insert(*flag))
        .collect();
    order.extend((0..flags).filter(|flag| !seen.contains(*flag)));
    order
}

/// Stored position to evaluation position.
pub(super) struct Numbering(Vec<usize>);

impl Numbering {
    pub fn new(order: &[usize]) -> Self {
        let mut positions = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            positions[*old] = new;
        }
        Self(positions)
    }

    fn list(&self, flags: &[usize]) -> Vec<usize> {
        flags.iter().map(|flag| self.0[*flag]).collect()
    }

    fn set(&self, flags: &BitSet) -> BitSet {
        let mut set = BitSet::new(self.0.len());
        for flag in flags.iter() {
            set.insert(self.0[flag]);
        }
        set
    }
}

pub(super) fn dependencies(
    graph: Graph,
    precomputed: Option<Precomputed>,
    retired: &BitSet,
    numbering: &Numbering,
) -> Dependencies {
    let mut targets = vec![Vec::new(); graph.len()];
    for (at, list) in graph.targets.iter().enumerate() {
        targets[numbering.0[at]] = numbering.list(list);
    }
    let graph = Graph {
        targets,
        dangling: numbering.set(&graph.dangling),
    };
    let precomputed = precomputed.map(|precomputed| Precomputed {
        stages: precomputed
            .stages
            .iter()
            .map(|stage| numbering.list(stage))
            .collect(),
        missing: numbering.set(&precomputed.missing),
    });
    let retired = numbering.set(retired);
    let resolution = match &precomputed {
        Some(precomputed) => precomputed.resolve(graph.len(), &retired),
        None => graph.resolve(&retired),
    };
    let mut dependents = BitSet::new(graph.len());
    let mut closures = vec![None; graph.len()];
    for (at, all) in closures.iter_mut().enumerate() {
        if !graph.targets[at].is_empty() {
            dependents.insert(at);
            *all = Some(closure(&graph, at, &retired));
        }
    }
    let mut fragile = resolution.missing;
    fragile.union_with(&resolution.removed);
    if precomputed.is_some() {
        // Given stages do not change with what a request leaves out; only the assumed cycle does,
        // and a selection counts that by itself.
        fragile = BitSet::new(graph.len());
    }
    let any = !dependents.is_empty() || !graph.dangling.is_empty();
    Dependencies {
        graph,
        precomputed,
        closures,
        dependents,
        fragile,
        any,
    }
}

/// All direct and indirect targets; edges of left-out flags are not followed.
pub(in crate::engine) fn closure(graph: &Graph, start: usize, left_out: &BitSet) -> BitSet {
    let mut set = BitSet::new(graph.len());
    let mut open = vec![start];
    while let Some(flag) = open.pop() {
        if left_out.contains(flag) {
            continue;
        }
        for target in &graph.targets[flag] {
            if set.insert(*target) {
                open.push(*target);
            }
        }
    }
    set
}
