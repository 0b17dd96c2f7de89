//! What a request needs from storage (`evaluation.md` 7.2, 8.1): decided from slots and bit sets, mostly "nothing".

use super::bitset::BitSet;
use super::evaluate::GroupKey;
use super::outcome::FlagIndex;
use super::project::{CompiledProject, Flag};
use super::property::{GroupIndex, Slots};
use super::selection::Selection;

/// When continuity rows are looked up (`OPTIMIZE_EXPERIENCE_CONTINUITY_LOOKUPS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContinuityLookups {
    /// Only when the hash of some flag can change its answer.
    WhenItMatters,
    /// Whenever a flag has continuity.
    Always,
}

/// What has to be gathered before evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// Person, static cohorts and groups.
    pub facts: bool,
    /// Continuity rows.
    pub continuity: bool,
}

/// Details of a plan, filled only when facts are needed.
#[derive(Debug, Default)]
pub struct PlanScratch {
    /// Flags that need the facts: they fail if the facts cannot be had.
    pub requiring: BitSet,
    /// Group types whose stored properties are wanted.
    pub groups: Vec<GroupIndex>,
    /// Static cohorts, by position, that some selected flag can depend on.
    pub static_cohorts: BitSet,
}

impl CompiledProject {
    /// Decides what to gather. `slots` hold what the request itself sent, nothing derived yet.
    #[must_use]
    pub fn plan(
        &self,
        selection: &Selection,
        slots: &Slots<'_>,
        group_keys: &[GroupKey<'_>],
        lookups: ContinuityLookups,
    ) -> Plan {
        if let Some(wants) = selection.wants() {
            let facts = wants.always
                || wants.person.iter().any(|slot| slots.get(*slot).is_none())
                || wants
                    .group
                    .iter()
                    .any(|(group, slot)| is_servable(*group, group_keys) && slots.get(*slot).is_none());
            let continuity = match lookups {
                ContinuityLookups::WhenItMatters => wants.continuity_lookup,
                ContinuityLookups::Always => wants.continuity,
            };
            return Plan { facts, continuity };
        }
        let mut plan = Plan::default();
        for index in selection.order() {
            let flag = self.flag(*index);
            plan.facts |= flag.requires_facts(slots, group_keys);
            plan.continuity |= match lookups {
                ContinuityLookups::WhenItMatters => flag.needs_continuity_lookup,
                ContinuityLookups::Always => flag.continuity,
            };
        }
        plan
    }

    /// Which flags need the facts, and which groups and static cohorts the selected flags refer to.
    pub fn plan_facts(
        &self,
        selection: &Selection,
        slots: &Slots<'_>,
        group_keys: &[GroupKey<'_>],
        scratch: &mut PlanScratch,
    ) {
        scratch.requiring.reset(self.flags().len());
        scratch.groups.clear();
        scratch.static_cohorts.reset(self.static_cohort_ids().len());
        for index @ FlagIndex(at) in selection.order() {
            let flag = self.flag(*index);
            for position in &flag.needs.static_cohorts {
                scratch.static_cohorts.insert(*position as usize);
            }
            if flag.requires_facts(slots, group_keys) {
                scratch.requiring.insert(*at as usize);
                for group in &flag.needs.referenced_groups {
                    if is_servable(*group, group_keys) && !scratch.groups.contains(group) {
                        scratch.groups.push(*group);
                    }
                }
            }
        }
    }
}

fn is_servable(group: GroupIndex, group_keys: &[GroupKey<'_>]) -> bool {
    group_keys
        .get(usize::from(group.0))
        .is_some_and(GroupKey::is_usable)
}

impl Flag {
    fn requires_facts(&self, slots: &Slots<'_>, group_keys: &[GroupKey<'_>]) -> bool {
        let needs = &self.needs;
        needs.always
            || needs.person.iter().any(|slot| slots.get(*slot).is_none())
            || needs
                .group
                .iter()
                .any(|(group, slot)| is_servable(*group, group_keys) && slots.get(*slot).is_none())
    }
}
