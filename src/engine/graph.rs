//! Flag dependencies: stages, missing dependencies and cycles (`evaluation.md` 6).
//!
//! Works on positions in whatever order the caller numbers flags.

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::bitset::BitSet;

/// What a set of left-out flags makes of the graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Flags to evaluate, dependencies in earlier stages; left-out flags may be among them.
    pub stages: Vec<Vec<usize>>,
    /// Flags with a missing dependency, directly or not. May hold flags that are in no stage.
    pub missing: BitSet,
    /// In, or behind, a cycle: no record.
    pub removed: BitSet,
    /// Whether there is a cycle.
    pub cycle: bool,
}

/// Dependencies as the conditions name them.
#[derive(Debug, Default)]
pub struct Graph {
    /// Targets of each flag, by position.
    pub targets: Vec<Vec<usize>>,
    /// Flags that name an id that does not exist.
    pub dangling: BitSet,
}

/// Precomputed stages and missing flags, by position; ids that do not exist are dropped already.
#[derive(Debug)]
pub struct Precomputed {
    /// `dependency_stages`.
    pub stages: Vec<Vec<usize>>,
    /// `flags_with_missing_deps`.
    pub missing: BitSet,
}

impl Graph {
    /// Number of flags.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Builds stages from scratch: left-out flags have no outgoing edges (6.3).
    #[must_use]
    pub fn resolve(&self, left_out: &BitSet) -> Resolution {
        let edges = |flag: usize| {
            let targets: &[usize] = if left_out.contains(flag) {
                &[]
            } else {
                &self.targets[flag]
            };
            targets
        };
        let mut dependents = vec![Vec::new(); self.len()];
        for flag in 0..self.len() {
            for target in edges(flag) {
                dependents[*target].push(flag);
            }
        }
        let reach = |start: Vec<usize>| {
            let mut set = BitSet::new(self.len());
            let mut open = start;
            while let Some(flag) = open.pop() {
                if set.insert(flag) {
                    open.extend(&dependents[flag]);
                }
            }
            set
        };
        let missing = reach(
            self.dangling
                .iter()
                .filter(|flag| !left_out.contains(*flag))
                .collect(),
        );
        let cyclic = self.cyclic(edges);
        let cycle = !cyclic.is_empty();
        let removed = reach(cyclic);

        let mut degree: Vec<usize> = (0..self.len()).map(|flag| edges(flag).len()).collect();
        let mut stages = Vec::new();
        let mut stage: Vec<usize> = (0..self.len()).filter(|flag| degree[*flag] == 0).collect();
        while !stage.is_empty() {
            let mut next = Vec::new();
            for flag in &stage {
                for dependent in &dependents[*flag] {
                    degree[*dependent] -= 1;
                    if degree[*dependent] == 0 {
                        next.push(*dependent);
                    }
                }
            }
            next.sort_unstable();
            stages.push(stage);
            stage = next;
        }
        Resolution {
            stages,
            missing,
            removed,
            cycle,
        }
    }

    fn cyclic<'g>(&self, edges: impl Fn(usize) -> &'g [usize]) -> Vec<usize> {
        if self.targets.iter().all(Vec::is_empty) {
            return Vec::new();
        }
        let mut graph = DiGraph::<(), ()>::with_capacity(self.len(), self.len());
        for _ in 0..self.len() {
            graph.add_node(());
        }
        let mut members = Vec::new();
        for flag in 0..self.len() {
            for target in edges(flag) {
                graph.add_edge(NodeIndex::new(flag), NodeIndex::new(*target), ());
                if *target == flag {
                    members.push(flag);
                }
            }
        }
        for component in tarjan_scc(&graph) {
            if component.len() > 1 {
                members.extend(component.into_iter().map(NodeIndex::index));
            }
        }
        members
    }
}

impl Precomputed {
    /// Takes stages as given (6.4). A cycle is assumed when flags that are not left out are in no stage.
    #[must_use]
    pub fn resolve(&self, flags: usize, left_out: &BitSet) -> Resolution {
        let staged = self
            .stages
            .iter()
            .flatten()
            .filter(|flag| !left_out.contains(**flag))
            .count();
        let cycle = flags.saturating_sub(left_out.len()) > staged;
        let mut removed = BitSet::new(flags);
        for flag in 0..flags {
            removed.insert(flag);
        }
        for flag in self.stages.iter().flatten() {
            removed.remove(*flag);
        }
        Resolution {
            stages: self.stages.clone(),
            missing: self.missing.clone(),
            removed,
            cycle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(targets: &[&[usize]], dangling: &[usize]) -> Graph {
        let mut set = BitSet::new(targets.len());
        for flag in dangling {
            set.insert(*flag);
        }
        Graph {
            targets: targets.iter().map(|targets| targets.to_vec()).collect(),
            dangling: set,
        }
    }

    #[test]
    fn members_of_cycles_and_what_stands_behind_them_vanish() {
        // 0 <-> 1, 2 -> 0, 3 free, 0 -> 3
        let resolution = graph(&[&[1, 3], &[0], &[0], &[]], &[]).resolve(&BitSet::new(4));
        assert!(resolution.cycle);
        assert_eq!(resolution.stages, [[3]]);
        assert_eq!(resolution.removed.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn leaving_a_member_out_breaks_the_cycle() {
        let mut left_out = BitSet::new(2);
        left_out.insert(1);
        let resolution = graph(&[&[1], &[0]], &[]).resolve(&left_out);
        assert!(!resolution.cycle);
        assert_eq!(resolution.stages, [[1], [0]]);
    }

    #[test]
    fn missing_spreads_to_dependents_but_not_through_left_out_flags() {
        let graph = graph(&[&[1], &[], &[0]], &[1]);
        let all = graph.resolve(&BitSet::new(3));
        assert_eq!(all.missing.iter().collect::<Vec<_>>(), [0, 1, 2]);
        let mut left_out = BitSet::new(3);
        left_out.insert(1);
        assert!(graph.resolve(&left_out).missing.is_empty());
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let targets: Vec<Vec<usize>> = (0..20_000)
            .map(|at| if at == 0 { vec![] } else { vec![at - 1] })
            .collect();
        let graph = Graph {
            dangling: BitSet::new(targets.len()),
            targets,
        };
        assert_eq!(graph.resolve(&BitSet::new(20_000)).stages.len(), 20_000);
    }
}
