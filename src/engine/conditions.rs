//! The conditions of one flag (`evaluation.md` 9.4 to 9.6): a walk that can stop where a hash is missing, and go on.

use super::bucket::{Rollout, choose_variant};
use super::cohort::CohortFacts;
use super::evaluate::{DependencyValue, Evaluator, GroupKey, WorkerScratch};
use super::hashing::{Asked, FlagHashes, Slots};
use super::lanes::Salt;
use super::outcome::{FlagIndex, FlagResult, FlagValue, Reason, VariantIndex};
use super::project::{CohortFilter, Condition, Filter, Flag, Wanted};
use super::property::{GroupIndex, SlotSource};

/// What a condition says before its rollout is looked at.
pub(super) enum ConditionOutcome {
    Match,
    Miss(Reason),
    /// A miss whose cohort has a part that is not evaluated here.
    BehavioralMiss,
    Error(Reason),
}

/// How far a walk came.
pub(super) enum Progress {
    Settled(FlagResult),
    /// The walk goes on when there are hashes in these slots.
    Waits(Slots),
}

/// What a condition whose filters hold says.
enum Bucketed {
    Inside(FlagValue),
    Outside,
    Waits(Slots),
}

/// Where a walk stands.
#[derive(Debug)]
pub(super) struct Walk {
    /// Conditions that are behind it.
    passed: u32,
    /// The filters of the next condition hold: it waits for a hash.
    filters_hold: bool,
    group_skipped: bool,
    behavioral: bool,
    /// The reason of the best score so far, and the position of its condition.
    best: (Reason, u32),
    pub hashes: FlagHashes,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            passed: 0,
            filters_hold: false,
            group_skipped: false,
            behavioral: false,
            best: (Reason::NoGroupType, FlagResult::NO_CONDITION),
            hashes: FlagHashes::default(),
        }
    }
}

impl Condition {
    /// Whether a match needs the hash of a variant.
    pub(super) fn hashes_variant(&self, flag: &Flag) -> bool {
        self.pinned.is_none() && !flag.buckets.is_empty()
    }
}

impl Evaluator<'_, '_, '_> {
    /// Walks on until the flag is settled or a hash is missing.
    pub(super) fn conditions(
        &self,
        index: FlagIndex,
        flag: &Flag,
        walk: &mut Walk,
        worker: &mut WorkerScratch,
    ) -> Progress {
        let settled = |value, reason, condition| {
            Progress::Settled(FlagResult {
                flag: index,
                value,
                reason,
                condition,
            })
        };
        let range = flag.conditions.start as usize..flag.conditions.end as usize;
        let conditions = &self.project.conditions[range];
        while let Some(condition) = conditions.get(walk.passed as usize) {
            let outcome = if walk.filters_hold {
                ConditionOutcome::Match
            } else {
                self.before_rollout(flag, condition, walk, worker)
            };
            let reason = match outcome {
                ConditionOutcome::Match => match self.bucket(index, flag, condition, walk, worker) {
                    Bucketed::Inside(value) => {
                        return settled(value, Reason::ConditionMatch, condition.position);
                    }
                    Bucketed::Waits(slots) => {
                        walk.filters_hold = true;
                        return Progress::Waits(slots);
                    }
                    Bucketed::Outside if flag.early_exit => {
                        return settled(FlagValue::Off, Reason::OutOfRolloutBound, condition.position);
                    }
                    Bucketed::Outside => Reason::OutOfRolloutBound,
                },
                ConditionOutcome::Error(reason) => {
                    return settled(FlagValue::Failed, reason, FlagResult::NO_CONDITION);
                }
                ConditionOutcome::BehavioralMiss => {
                    walk.behavioral = true;
                    Reason::NoConditionMatch
                }
                ConditionOutcome::Miss(reason) => reason,
            };
            if reason.score() >= walk.best.0.score() {
                walk.best = (reason, condition.position);
            }
            walk.filters_hold = false;
            walk.passed += 1;
        }
        let reason = match walk.best.0 {
            Reason::NoConditionMatch if walk.behavioral => Reason::NoConditionMatchBehavioral,
            Reason::NoConditionMatch if walk.group_skipped => Reason::NoConditionMatchWithoutGroup,
            other => other,
        };
        settled(FlagValue::Off, reason, walk.best.1)
    }

    /// Everything about a condition but its rollout.
    fn before_rollout(
        &self,
        flag: &Flag,
        condition: &Condition,
        walk: &mut Walk,
        worker: &mut WorkerScratch,
    ) -> ConditionOutcome {
        match condition.aggregation {
            None if flag.device_bucketing && self.context.device_id.is_none() => {
                ConditionOutcome::Miss(Reason::OutOfRolloutBound)
            }
            Some(group) if !self.group_key(group).is_usable() => {
                walk.group_skipped = true;
                ConditionOutcome::Miss(Reason::NoGroupType)
            }
            _ => self.filters_hold(condition, worker),
        }
    }

    /// Rollout, then the value of a match.
    fn bucket(
        &self,
        index: FlagIndex,
        flag: &Flag,
        condition: &Condition,
        walk: &mut Walk,
        worker: &mut WorkerScratch,
    ) -> Bucketed {
        if condition.rollout != Rollout::All {
            match self.ask(index, flag, condition, Salt::Rollout, &mut walk.hashes, worker) {
                Asked::Waits(slots) => return Bucketed::Waits(slots),
                Asked::Known(hash) if condition.rollout.includes(hash) => {}
                Asked::Known(_) => return Bucketed::Outside,
            }
        }
        if let Some(variant) = condition.pinned {
            return Bucketed::Inside(FlagValue::Variant(variant));
        }
        if flag.buckets.is_empty() {
            return Bucketed::Inside(FlagValue::On);
        }
        match self.ask(index, flag, condition, Salt::Variant, &mut walk.hashes, worker) {
            Asked::Waits(slots) => Bucketed::Waits(slots),
            Asked::Known(hash) => Bucketed::Inside(
                choose_variant(&flag.buckets, hash).map_or(FlagValue::On, FlagValue::Variant),
            ),
        }
    }

    /// Whether an identifier is inside a condition's rollout, without waiting.
    pub(super) fn is_inside(&self, index: FlagIndex, flag: &Flag, condition: &Condition) -> bool {
        condition.rollout == Rollout::All || {
            let identifier = self.identifier(flag, condition.aggregation, self.hash_key_override(index));
            condition
                .rollout
                .includes(self.hash_alone(flag, identifier, Salt::Rollout))
        }
    }

    /// The hashed variant of an identifier (11.6), without waiting.
    pub(super) fn variant_of(&self, flag: &Flag, identifier: &str) -> Option<VariantIndex> {
        if flag.buckets.is_empty() {
            return None;
        }
        choose_variant(&flag.buckets, self.hash_alone(flag, identifier, Salt::Variant))
    }

    /// Filters in stored order, then cohorts (9.5).
    pub(super) fn filters_hold(&self, condition: &Condition, worker: &mut WorkerScratch) -> ConditionOutcome {
        let range = condition.filters.start as usize..condition.filters.end as usize;
        for filter in &self.project.filters[range] {
            if !self.filter_holds(filter, worker) {
                return ConditionOutcome::Miss(Reason::NoConditionMatch);
            }
        }
        if condition.cohort_filters.is_empty() {
            return ConditionOutcome::Match;
        }
        self.cohorts_hold(condition, worker)
    }

    fn filter_holds(&self, filter: &Filter, worker: &mut WorkerScratch) -> bool {
        match filter {
            Filter::Property { slot, matcher } => match self.context.slots.get(*slot) {
                Some(value) => matcher.matches(value, self.context.clock, &mut worker.text),
                None => {
                    self.absence_is_known(self.project.properties.source(*slot)) && matcher.matches_absent()
                }
            },
            Filter::Dependency { target, wanted } => {
                let value = self
                    .values
                    .get(target.0 as usize)
                    .copied()
                    .unwrap_or(DependencyValue::None);
                match wanted {
                    Wanted::NotFalse => {
                        !matches!(value, DependencyValue::None | DependencyValue::Bool(false))
                    }
                    Wanted::False => value == DependencyValue::Bool(false),
                    Wanted::Variant(variant) => value == DependencyValue::Variant(*variant),
                }
            }
            Filter::Constant(holds) => *holds,
        }
    }

    /// Whether an absent key means "not set" (8.3, 14.5).
    fn absence_is_known(&self, source: SlotSource) -> bool {
        self.context.facts_failure.is_none()
            || match source {
                SlotSource::Person => false,
                SlotSource::Group(group) => !self.group_key(group).is_usable(),
            }
    }

    fn cohorts_hold(&self, condition: &Condition, worker: &mut WorkerScratch) -> ConditionOutcome {
        let range = condition.cohort_filters.start as usize..condition.cohort_filters.end as usize;
        let filters = &self.project.cohort_filters[range];
        // Cohorts are part of what preparation loads: without it the condition misses (8.3).
        if !self.context.facts_gathered {
            return ConditionOutcome::Miss(Reason::NoConditionMatch);
        }
        for filter in filters {
            if let CohortFilter::Error(reason) = filter {
                return ConditionOutcome::Error(*reason);
            }
        }
        let facts = CohortFacts {
            slots: self.context.slots,
            clock: self.context.clock,
            static_member: self.context.static_member,
        };
        let mut holds = true;
        let mut behavioral = false;
        for filter in filters {
            let (cohort, passes) = match filter {
                CohortFilter::Member { cohort, wanted } => {
                    let WorkerScratch { text, cohorts, .. } = worker;
                    (
                        *cohort,
                        self.project.cohorts.is_member(*cohort, &facts, cohorts, text) == *wanted,
                    )
                }
                CohortFilter::Never { cohort } => (*cohort, false),
                CohortFilter::Error(reason) => return ConditionOutcome::Error(*reason),
            };
            if !passes {
                holds = false;
                // The note is for a miss that the part which is not evaluated here may have caused.
                behavioral |= self.project.cohorts.is_behavioral(cohort);
            }
        }
        match (holds, behavioral) {
            (true, _) => ConditionOutcome::Match,
            (false, true) => ConditionOutcome::BehavioralMiss,
            (false, false) => ConditionOutcome::Miss(Reason::NoConditionMatch),
        }
    }

    pub(super) fn group_key(&self, group: GroupIndex) -> &GroupKey<'_> {
        self.context
            .group_keys
            .get(usize::from(group.0))
            .unwrap_or(&GroupKey::None)
    }

    pub(super) fn hash_key_override(&self, flag: FlagIndex) -> Option<&str> {
        self.context
            .hash_key_overrides
            .get(flag.0 as usize)
            .copied()
            .flatten()
    }

    /// What is hashed for a condition (11.4).
    pub(super) fn identifier<'s>(
        &'s self,
        flag: &Flag,
        aggregation: Option<GroupIndex>,
        stored: Option<&'s str>,
    ) -> &'s str {
        if let Some(group) = aggregation {
            return self.group_key(group).as_str();
        }
        let context = self.context;
        match context.device_id {
            Some(device_id) if flag.device_bucketing => device_id,
            _ if flag.continuity => stored.or(context.anon_distinct_id).unwrap_or(context.distinct_id),
            _ => context.distinct_id,
        }
    }
}
