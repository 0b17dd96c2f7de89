//! Which flags a request evaluates, in which stages (`evaluation.md` 5 and 6).
//!
//! Almost every request leaves flags out by its runtime alone: those four selections are ready at load
//! and borrowed. Survey mode, contexts and `flag_keys` make a selection of their own, by bit sets, in the
//! worker's scratch. Only a request that leaves out a flag which has missing or cyclic dependencies makes
//! the graph be resolved again.

use super::bitset::BitSet;
use super::compile::closure;
use super::outcome::FlagIndex;
use super::project::CompiledProject;
use super::property::{GroupIndex, SlotIndex};
use super::value::{Array, PropertyValue};

/// The runtime that a request speaks for (`evaluation.md` section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestRuntime {
    /// Explicitly everything.
    All,
    /// Browsers and mobile apps.
    Client,
    /// Back ends.
    Server,
}

/// Every runtime that ready selections exist for; `None` is unknown.
pub(super) const RUNTIMES: [Option<RequestRuntime>; 4] = [
    None,
    Some(RequestRuntime::All),
    Some(RequestRuntime::Client),
    Some(RequestRuntime::Server),
];

fn runtime_position(runtime: Option<RequestRuntime>) -> usize {
    match runtime {
        None => 0,
        Some(RequestRuntime::All) => 1,
        Some(RequestRuntime::Client) => 2,
        Some(RequestRuntime::Server) => 3,
    }
}

/// What a request restricts its flags by.
#[derive(Debug, Clone, Copy, Default)]
pub struct SelectionQuery<'a> {
    /// Explicit or detected runtime; `None` is unknown.
    pub runtime: Option<RequestRuntime>,
    /// `evaluation_contexts`; empty is the same as none.
    pub contexts: Option<Array<'a>>,
    /// Only keys with the survey prefix.
    pub survey_only: bool,
    /// `flag_keys`; an empty list selects nothing.
    pub flag_keys: Option<Array<'a>>,
}

/// The flags of one request, by stage.
#[derive(Debug, Default)]
pub struct Selection {
    order: Vec<FlagIndex>,
    stage_ends: Vec<u32>,
    missing: BitSet,
    left_out: BitSet,
    cycle: bool,
    everything_left_out: bool,
    billable: bool,
    cost: u64,
    /// Ready selections know what their flags want together; others ask flag by flag.
    wants: Option<Wants>,
}

/// What the flags of a ready selection could want from storage together.
#[derive(Debug, Default)]
pub(super) struct Wants {
    pub always: bool,
    pub person: Vec<SlotIndex>,
    pub group: Vec<(GroupIndex, SlotIndex)>,
    pub continuity: bool,
    pub continuity_lookup: bool,
}

/// Reusable memory for selections that are not ready.
#[derive(Debug, Default)]
pub struct SelectionScratch {
    selection: Selection,
    needed: BitSet,
}

impl Selection {
    /// Flags in stage order.
    #[must_use]
    pub fn order(&self) -> &[FlagIndex] {
        &self.order
    }

    /// Stages as stretches of [`Selection::order`].
    pub fn stages(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        let mut from = 0;
        self.stage_ends.iter().map(move |end| {
            let stage = from..*end as usize;
            from = stage.end;
            stage
        })
    }

    /// Whether the flag has a missing dependency.
    #[must_use]
    pub fn is_missing(&self, flag: FlagIndex) -> bool {
        self.missing.contains(flag.0 as usize)
    }

    /// Whether any flag has a missing dependency.
    pub(super) fn has_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Flags that are left out; dependents see them as `false`.
    #[must_use]
    pub fn left_out(&self) -> &BitSet {
        &self.left_out
    }

    /// Whether flags that are not left out form a cycle: sets the errors flag.
    #[must_use]
    pub fn has_cycle(&self) -> bool {
        self.cycle && !self.everything_left_out
    }

    /// Whether a flag that is billed is not left out. `flag_keys` does not matter here (`http.md` 8.2).
    #[must_use]
    pub fn is_billable(&self) -> bool {
        self.billable
    }

    /// Estimated instructions of evaluating and encoding the flags, the fixed part of a request left out.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost
    }

    pub(super) fn wants(&self) -> Option<&Wants> {
        self.wants.as_ref()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.order.capacity() * 4
            + self.stage_ends.capacity() * 4
            + self.missing.heap_bytes()
            + self.left_out.heap_bytes()
    }

    /// The selection of a request that restricts by runtime alone.
    pub(super) fn ready(project: &CompiledProject, runtime: Option<RequestRuntime>) -> Self {
        let mut selection = Self::default();
        selection.leave_out(
            project,
            &SelectionQuery {
                runtime,
                ..SelectionQuery::default()
            },
        );
        selection.arrange(project, None);
        let mut wants = Wants::default();
        for index in &selection.order {
            let flag = project.flag(*index);
            wants.always |= flag.needs.always;
            wants.person.extend(&flag.needs.person);
            wants.group.extend(&flag.needs.group);
            wants.continuity |= flag.continuity;
            wants.continuity_lookup |= flag.needs_continuity_lookup;
        }
        wants.person.sort_unstable();
        wants.person.dedup();
        wants.group.sort_unstable();
        wants.group.dedup();
        selection.wants = Some(wants);
        selection.add_up(project);
        selection
    }

    fn add_up(&mut self, project: &CompiledProject) {
        let costs = self.order.iter().map(|flag| project.costs[flag.0 as usize]);
        self.cost = costs.map(u64::from).sum();
    }

    fn leave_out(&mut self, project: &CompiledProject, query: &SelectionQuery<'_>) {
        let sets = &project.filterable;
        self.left_out.copy_from(&sets.retired);
        if query.survey_only {
            self.left_out.union_with(&sets.not_survey);
        }
        match query.runtime {
            Some(RequestRuntime::All) => {}
            Some(RequestRuntime::Client) => self.left_out.union_with(&sets.server_only),
            Some(RequestRuntime::Server) => self.left_out.union_with(&sets.client_only),
            None => {
                self.left_out.union_with(&sets.server_only);
                self.left_out.union_with(&sets.client_only);
            }
        }
        if let Some(contexts) = query.contexts.filter(|contexts| !contexts.is_empty()) {
            for flag in sets.with_contexts.iter() {
                let shared = contexts.iter().any(|context| match context {
                    PropertyValue::Str(name) => sets
                        .by_context
                        .get(name)
                        .is_some_and(|flags| flags.contains(flag)),
                    _ => false,
                });
                if !shared {
                    self.left_out.insert(flag);
                }
            }
        }
        self.everything_left_out = self.left_out.len() == project.flags.len();
        self.billable = !sets.billable.is_subset(&self.left_out);
    }

    /// Puts the flags that are neither left out nor unneeded in stages.
    fn arrange(&mut self, project: &CompiledProject, needed: Option<&BitSet>) {
        let dependencies = &project.dependencies;
        let kept = |flag: usize, left_out: &BitSet| {
            !left_out.contains(flag) && needed.is_none_or(|needed| needed.contains(flag))
        };
        self.order.clear();
        self.stage_ends.clear();
        self.wants = None;
        if !dependencies.any && dependencies.precomputed.is_none() {
            self.missing.reset(project.flags.len());
            self.cycle = false;
            self.order.extend(
                (0..project.flags.len())
                    .filter(|flag| kept(*flag, &self.left_out))
                    .map(|flag| FlagIndex(flag as u32)),
            );
            self.close_stage();
            return;
        }
        let resolution = self.resolve(project);
        self.cycle = resolution.cycle;
        for stage in &resolution.stages {
            self.order.extend(
                stage
                    .iter()
                    .filter(|flag| kept(**flag, &self.left_out))
                    .map(|flag| FlagIndex(*flag as u32)),
            );
            self.close_stage();
        }
        self.missing.copy_from(&resolution.missing);
        self.missing.subtract(&self.left_out);
    }

    fn resolve(&self, project: &CompiledProject) -> super::graph::Resolution {
        match &project.dependencies.precomputed {
            Some(precomputed) => precomputed.resolve(project.flags.len(), &self.left_out),
            None => project.dependencies.graph.resolve(&self.left_out),
        }
    }

    /// Takes stages, missing flags and cycle over from a ready selection that leaves out the same or less,
    /// where what is left out besides touches no fragile flag.
    fn narrow(&mut self, base: &Self, needed: Option<&BitSet>) {
        self.order.clear();
        self.stage_ends.clear();
        self.wants = None;
        self.cycle = base.cycle;
        for stage in base.stages() {
            self.order
                .extend(base.order[stage].iter().copied().filter(|flag| {
                    let flag = flag.0 as usize;
                    !self.left_out.contains(flag) && needed.is_none_or(|needed| needed.contains(flag))
                }));
            self.close_stage();
        }
        self.missing.copy_from(&base.missing);
    }

    fn close_stage(&mut self) {
        let end = self.order.len() as u32;
        if self.stage_ends.last().copied().unwrap_or(0) < end {
            self.stage_ends.push(end);
        }
    }
}

impl CompiledProject {
    /// Selects the flags of a request. Allocates only when the scratch has to grow, or in the rare case
    /// that the dependency graph must be resolved again.
    #[must_use]
    pub fn select<'s>(
        &'s self,
        query: &SelectionQuery<'_>,
        scratch: &'s mut SelectionScratch,
    ) -> &'s Selection {
        let base = &self.ready[runtime_position(query.runtime)];
        let by_context = query.contexts.is_some_and(|contexts| !contexts.is_empty());
        if !query.survey_only && !by_context && query.flag_keys.is_none() {
            return base;
        }
        let SelectionScratch { selection, needed } = scratch;
        selection.leave_out(self, query);
        let needed = query.flag_keys.map(|keys| {
            needed.reset(self.flags.len());
            self.need(keys, &selection.left_out, needed);
            &*needed
        });
        // The ready selection has fewer flags left out. Its stages hold unless a flag that is left out
        // besides is what made others missing or cyclic. A given cycle test counts flags, so look again.
        let fragile = self.dependencies.fragile.intersects(&selection.left_out)
            || (self.dependencies.precomputed.is_some() && selection.left_out != base.left_out);
        if fragile {
            selection.arrange(self, needed)
        } else {
            selection.narrow(base, needed)
        }
        selection.add_up(self);
        selection
    }

    /// Requested flags that exist and all their transitive dependencies (6.5).
    fn need(&self, keys: Array<'_>, left_out: &BitSet, needed: &mut BitSet) {
        for key in keys.iter() {
            let PropertyValue::Str(key) = key else { continue };
            let Some(index) = self.flag_by_key(key) else {
                continue;
            };
            let at = index.0 as usize;
            needed.insert(at);
            if left_out.contains(at) {
                continue;
            }
            let Some(all) = &self.dependencies.closures[at] else {
                continue;
            };
            let crosses_left_out = all
                .iter()
                .any(|target| left_out.contains(target) && self.dependencies.dependents.contains(target));
            if crosses_left_out {
                needed.union_with(&closure(&self.dependencies.graph, at, left_out));
            } else {
                needed.union_with(all);
            }
        }
    }
}
