//! The conditions of one flag (`evaluation.md` 9.4 to 9.6): a walk that can stop where a hash is missing, and go on.

use super::bucket::{Rollout, choose_variant};
use super::cohort::CohortFacts;
use super::evaluate::{DependencyValue, Evaluator, GroupKey, WorkerScratch};
use super::lanes::Salt;
use super::outcome::{FlagIndex, FlagResult, FlagValue, Reason, VariantIndex};
use super::project::{CohortFilter, Condition, Filter, Flag, Wanted};
use super::property::{GroupIndex, SlotSource};
use super::test::{PropertyTest, TestIndex};

/// What a condition says before its rollout is looked at.
pub(super) enum ConditionOutcome {
    Match,
    Miss(Reason),
    /// A miss whose cohort has a part that is not evaluated here.
    BehavioralMiss,
    Error(Reason),
}

/// A flag of a stage.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Position of its record in the stage.
    pub position: u32,
    pub flag: FlagIndex,
}

/// Where the walk over a flag's conditions stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// Conditions that are behind it.
    pub passed: u32,
    /// The filters of the next condition hold: it waited for a hash.
    filters_hold: bool,
    group_skipped: bool,
    behavioral: bool,
    /// The reason of the best score so far, and its condition.
    best: Reason,
    best_condition: u32,
    /// The rollout hash, and what it is the hash of: conditions of one flag mostly ask for the same.
    pub rollout: Option<f64>,
    pub aggregation: Option<GroupIndex>,
    /// Where it is kept while it waits, once it has waited.
    pub kept: Option<u32>,
}

impl Walk {
    /// Before the first condition.
    pub const START: Self = Self {
        passed: 0,
        filters_hold: false,
        group_skipped: false,
        behavioral: false,
        best: Reason::NoGroupType,
        best_condition: FlagResult::NO_CONDITION,
        rollout: None,
        aggregation: None,
        kept: None,
    };

    /// Before the first condition, with the rollout hash of the distinct id known.
    pub fn with_rollout(hash: f64) -> Self {
        Self {
            rollout: Some(hash),
            ..Self::START
        }
    }

    /// Behind a first condition that missed for that reason; `rollout`: the rollout hash of the distinct id, if it asked for it.
    pub fn after_miss(reason: Reason, condition: u32, rollout: Option<f64>) -> Self {
        let mut walk = Self {
            passed: 1,
            rollout,
            ..Self::START
        };
        walk.miss_at(reason, condition);
        walk
    }

    fn miss(&mut self, reason: Reason, condition: &Condition) {
        self.miss_at(reason, condition.position);
    }

    fn miss_at(&mut self, reason: Reason, condition: u32) {
        if reason.score() >= self.best.score() {
            self.best = reason;
            self.best_condition = condition;
        }
    }
}

impl Evaluator<'_, '_, '_> {
    /// Walks until the flag is settled, or until a hash is missing: then it is among those that wait. Inlined into
    /// both callers, so that a walk from the start costs no more than it must.
    #[inline(always)]
    pub(super) fn conditions(
        &self,
        place: Place,
        flag: &Flag,
        mut walk: Walk,
        results: &mut [FlagResult],
        worker: &mut WorkerScratch,
    ) {
        let mut settle = |value, reason, condition| {
            results[place.position as usize] = FlagResult {
                flag: place.flag,
                value,
                reason,
                condition,
            };
        };
        let range = (flag.conditions.start + walk.passed) as usize..flag.conditions.end as usize;
        for condition in &self.project.conditions[range] {
            if !std::mem::take(&mut walk.filters_hold) {
                match self.before_rollout(flag, condition, &mut walk, worker) {
                    ConditionOutcome::Match => {}
                    ConditionOutcome::Error(reason) => {
                        return settle(FlagValue::Failed, reason, FlagResult::NO_CONDITION);
                    }
                    outcome => {
                        walk.behavioral |= matches!(outcome, ConditionOutcome::BehavioralMiss);
                        let reason = match outcome {
                            ConditionOutcome::Miss(reason) => reason,
                            _ => Reason::NoConditionMatch,
                        };
                        walk.miss(reason, condition);
                        walk.passed += 1;
                        continue;
                    }
                }
            }
            if let Rollout::UpTo(_) = condition.rollout {
                let hash = match walk.rollout {
                    Some(hash) if walk.aggregation == condition.aggregation => hash,
                    _ => {
                        walk.filters_hold = true;
                        walk.aggregation = condition.aggregation;
                        let Some(hash) = self.ask(place, flag, condition, Salt::Rollout, &mut walk, worker)
                        else {
                            return;
                        };
                        walk.filters_hold = false;
                        hash
                    }
                };
                walk.rollout = Some(hash);
                if !condition.rollout.includes(hash) {
                    if flag.early_exit {
                        return settle(FlagValue::Off, Reason::OutOfRolloutBound, condition.position);
                    }
                    walk.miss(Reason::OutOfRolloutBound, condition);
                    walk.passed += 1;
                    continue;
                }
            }
            let value = match condition.pinned {
                Some(variant) => FlagValue::Variant(variant),
                None if flag.buckets.is_empty() => FlagValue::On,
                None => match self.ask(place, flag, condition, Salt::Variant, &mut walk, worker) {
                    Some(hash) => flag.hashed_value(hash),
                    None => return,
                },
            };
            return settle(value, Reason::ConditionMatch, condition.position);
        }
        let reason = match walk.best {
            Reason::NoConditionMatch if walk.behavioral => Reason::NoConditionMatchBehavioral,
            Reason::NoConditionMatch if walk.group_skipped => Reason::NoConditionMatchWithoutGroup,
            other => other,
        };
        settle(FlagValue::Off, reason, walk.best_condition);
    }

    /// The record of a flag whose match waited for the variant's hash.
    pub(super) fn matched_variant(&self, place: Place, walk: &Walk, hash: f64) -> FlagResult {
        let flag = self.project.flag(place.flag);
        let condition = &self.project.conditions[(flag.conditions.start + walk.passed) as usize];
        FlagResult {
            flag: place.flag,
            value: flag.hashed_value(hash),
            reason: Reason::ConditionMatch,
            condition: condition.position,
        }
    }

    /// Everything about a condition but its rollout.
    #[inline]
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

    /// Whether an identifier is inside a condition's rollout, without waiting.
    pub(super) fn is_inside(&self, index: FlagIndex, flag: &Flag, condition: &Condition) -> bool {
        condition.rollout == Rollout::All || {
            let identifier = self.identifier(flag, condition.aggregation, Some(index));
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
    #[inline]
    pub(super) fn filters_hold(&self, condition: &Condition, worker: &mut WorkerScratch) -> ConditionOutcome {
        if condition.filters.is_empty() && condition.cohort_filters.is_empty() {
            return ConditionOutcome::Match;
        }
        self.some_filters_hold(condition, worker)
    }

    #[inline(never)]
    fn some_filters_hold(&self, condition: &Condition, worker: &mut WorkerScratch) -> ConditionOutcome {
        let range = condition.filters.start as usize..condition.filters.end as usize;
        if !self.all_hold(range, worker) {
            return ConditionOutcome::Miss(Reason::NoConditionMatch);
        }
        if condition.cohort_filters.is_empty() {
            return ConditionOutcome::Match;
        }
        self.cohorts_hold(condition, worker)
    }

    /// Whether all filters of a range hold, cohort filters apart.
    #[inline(never)]
    pub(super) fn all_hold(&self, filters: std::ops::Range<usize>, worker: &mut WorkerScratch) -> bool {
        let filters = self.project.filters.get(filters).unwrap_or_default();
        filters.iter().all(|filter| self.filter_holds(filter, worker))
    }

    #[inline]
    fn filter_holds(&self, filter: &Filter, worker: &mut WorkerScratch) -> bool {
        match filter {
            Filter::Property(test) => {
                let WorkerScratch { text, tests, .. } = worker;
                tests.get_or(*test, || self.test_holds(*test, text))
            }
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

    #[inline(never)]
    fn test_holds(&self, test: TestIndex, text: &mut String) -> bool {
        let Some(PropertyTest { slot, matcher }) = self.project.tests.get(test) else {
            return false;
        };
        match self.context.slots.get(*slot) {
            Some(value) => matcher.matches(value, self.context.clock, text),
            None => self.absence_is_known(self.project.properties.source(*slot)) && matcher.matches_absent(),
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

    /// What is hashed for a condition (11.4). `stored`: the flag whose stored continuity row counts.
    #[inline]
    pub(super) fn identifier(
        &self,
        flag: &Flag,
        aggregation: Option<GroupIndex>,
        stored: Option<FlagIndex>,
    ) -> &str {
        let context = self.context;
        if let Some(group) = aggregation {
            return self.group_key(group).as_str();
        }
        match context.device_id {
            Some(device_id) if flag.device_bucketing => device_id,
            _ if flag.continuity => stored
                .and_then(|flag| context.hash_key_overrides.get(flag.0 as usize).copied())
                .flatten()
                .or(context.anon_distinct_id)
                .unwrap_or(context.distinct_id),
            _ => context.distinct_id,
        }
    }
}

impl Flag {
    /// What a hash makes of a match (11.6).
    #[inline]
    pub(super) fn hashed_value(&self, hash: f64) -> FlagValue {
        choose_variant(&self.buckets, hash).map_or(FlagValue::On, FlagValue::Variant)
    }
}
