//! Evaluation of one flag and of a whole selection (`evaluation.md` 9 to 11).
//!
//! Evaluation does not fail: each flag gets a value and a reason, broken definitions included.

use rayon::prelude::*;

use super::bitset::BitSet;
use super::bucket::{Rollout, choose_variant};
use super::cohort::{CohortFacts, CohortMemo};
use super::hash::{HOLDOUT_PREFIX, VARIANT_SALT, hash};
use super::matcher::Clock;
use super::outcome::{FlagIndex, FlagResult, FlagValue, Reason, VariantIndex};
use super::project::{CohortFilter, CompiledProject, Condition, EarlyAccess, Filter, Flag, Holdout, Wanted};
use super::property::{GroupIndex, SlotSource, Slots};
use super::selection::Selection;
use super::value::PropertyValue;

/// The request's key for one group type.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum GroupKey<'a> {
    /// None that can be used.
    #[default]
    None,
    /// A non-empty text.
    Text(&'a str),
    /// A number's JSON text.
    Number(NumberText),
}

/// JSON text of a number, inline: at most 24 bytes (`-1.7976931348623157e+308`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberText {
    bytes: [u8; 31],
    len: u8,
}

impl<'a> GroupKey<'a> {
    /// Text and numbers can be used; everything else, and empty text, cannot (9.4).
    #[must_use]
    pub fn from_value(value: PropertyValue<'a>, buffer: &mut String) -> Self {
        match value {
            PropertyValue::Str("") => Self::None,
            PropertyValue::Str(text) => Self::Text(text),
            PropertyValue::I64(_) | PropertyValue::U64(_) | PropertyValue::F64(_) => {
                let text = value.text(buffer).as_bytes();
                let mut number = NumberText {
                    bytes: [0; 31],
                    len: text.len().min(31) as u8,
                };
                number.bytes[..text.len().min(31)].copy_from_slice(&text[..text.len().min(31)]);
                Self::Number(number)
            }
            _ => Self::None,
        }
    }

    /// The key as text; empty for none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "",
            Self::Text(text) => text,
            Self::Number(number) => {
                std::str::from_utf8(&number.bytes[..usize::from(number.len)]).unwrap_or("")
            }
        }
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// Everything of a request that evaluation reads; borrowed, immutable, shared by parallel workers.
pub struct EvaluationContext<'r, 'a> {
    /// Already cut to 200 characters.
    pub distinct_id: &'a str,
    /// Not empty.
    pub device_id: Option<&'a str>,
    /// Previous identity.
    pub anon_distinct_id: Option<&'a str>,
    /// Group keys by [`GroupIndex`].
    pub group_keys: &'r [GroupKey<'a>],
    /// Merged and derived properties.
    pub slots: &'r Slots<'a>,
    /// Stored identifiers by flag index; empty when none were loaded.
    pub hash_key_overrides: &'r [Option<&'a str>],
    /// Static cohorts that the person is in, by position in [`CompiledProject::static_cohort_ids`].
    pub static_member: &'r BitSet,
    /// Stored facts were wanted and are here.
    pub facts_gathered: bool,
    /// Stored facts were wanted and could not be had: the flags that wanted them fail with this, and an
    /// absent property is unknown, not unset.
    pub facts_failure: Option<Reason>,
    /// Flags that fail with [`EvaluationContext::facts_failure`].
    pub failed_flags: &'r BitSet,
    /// Continuity rows were wanted and could not be had.
    pub continuity_failed: bool,
    /// Clock and timezone.
    pub clock: Clock<'r>,
}

/// Memory that evaluation reuses.
#[derive(Debug, Default)]
pub struct EvaluationScratch {
    /// Results of the last evaluation, in selection order.
    pub results: Vec<FlagResult>,
    values: Vec<DependencyValue>,
    worker: WorkerScratch,
}

/// What one thread needs to evaluate flags.
#[derive(Debug, Default)]
struct WorkerScratch {
    text: String,
    cohorts: CohortMemo,
}

/// Value of a flag as dependents see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DependencyValue {
    None,
    Bool(bool),
    Variant(VariantIndex),
}

/// When a stage is evaluated in parallel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parallelism {
    /// Smallest stage that is split over the pool; `usize::MAX` never.
    pub threshold: usize,
}

impl Parallelism {
    /// Everything on the calling thread.
    pub const NONE: Self = Self {
        threshold: usize::MAX,
    };
}

/// Flags per parallel task: large enough that a task outweighs its hand-over.
const PARALLEL_CHUNK: usize = 32;

/// What an evaluation found besides the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EvaluationSummary {
    /// `errorsWhileComputingFlags` as far as evaluation decides it.
    pub errors: bool,
    /// Stages that ran on the pool.
    pub parallel_stages: u32,
}

impl CompiledProject {
    /// Evaluates a selection; the records are in `scratch.results` afterwards.
    pub fn evaluate(
        &self,
        selection: &Selection,
        context: &EvaluationContext<'_, '_>,
        parallelism: Parallelism,
        scratch: &mut EvaluationScratch,
    ) -> EvaluationSummary {
        let EvaluationScratch {
            results,
            values,
            worker,
        } = scratch;
        results.clear();
        worker.cohorts.reset(&self.cohorts);
        let tracks_values = self.dependencies.any;
        values.clear();
        if tracks_values {
            values.resize(self.flags.len(), DependencyValue::None);
            for flag in selection.left_out().iter() {
                values[flag] = DependencyValue::Bool(false);
            }
        }
        let mut summary = EvaluationSummary {
            errors: selection.has_cycle() || context.continuity_failed || self.lacks_mapping(selection),
            parallel_stages: 0,
        };
        for stage in selection.stages() {
            let order = &selection.order()[stage.clone()];
            let evaluator = Evaluator {
                project: self,
                context,
                selection,
                values,
            };
            if order.len() >= parallelism.threshold {
                summary.parallel_stages += 1;
                let from = results.len();
                results.resize(
                    from + order.len(),
                    FlagResult::failed(FlagIndex(0), Reason::BatchPanicked),
                );
                results[from..]
                    .par_chunks_mut(PARALLEL_CHUNK)
                    .zip(order.par_chunks(PARALLEL_CHUNK))
                    .for_each(|(results, order)| evaluator.chunk(order, results));
            } else {
                for flag in order {
                    let result = evaluator.flag(*flag, worker);
                    results.push(result);
                }
            }
            if tracks_values {
                // After the stage, not after the flag: an answer must not depend on the order inside a stage.
                for result in &results[stage] {
                    values[result.flag.0 as usize] = match result.value {
                        FlagValue::Failed if result.reason == Reason::FlagDataParsing => {
                            DependencyValue::Bool(false)
                        }
                        FlagValue::Failed => DependencyValue::None,
                        FlagValue::Off | FlagValue::OffWithPayload => DependencyValue::Bool(false),
                        FlagValue::On => DependencyValue::Bool(true),
                        FlagValue::Variant(variant) => DependencyValue::Variant(variant),
                    };
                }
            }
        }
        summary.errors |= results.iter().any(|result| result.value == FlagValue::Failed);
        summary
    }

    /// Whether a selected flag refers to a group type although the mapping could not be read.
    fn lacks_mapping(&self, selection: &Selection) -> bool {
        let lacks = |flag: &FlagIndex| self.unmapped.contains(flag.0 as usize);
        !self.unmapped.is_empty() && selection.order().iter().any(lacks)
    }
}

struct Evaluator<'e, 'r, 'a> {
    project: &'e CompiledProject,
    context: &'e EvaluationContext<'r, 'a>,
    selection: &'e Selection,
    values: &'e [DependencyValue],
}

/// How one condition ended.
enum ConditionOutcome {
    Match,
    Miss(Reason),
    /// A miss whose cohort has a part that is not evaluated here.
    BehavioralMiss,
    /// The rollout test itself said no.
    OutsideRollout,
    Error(Reason),
}

impl Evaluator<'_, '_, '_> {
    /// Evaluates a batch on a pool thread. A panic is contained: the whole batch reports it.
    fn chunk(&self, order: &[FlagIndex], results: &mut [FlagResult]) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut worker = WorkerScratch::default();
            worker.cohorts.reset(&self.project.cohorts);
            for (flag, result) in order.iter().zip(&mut *results) {
                *result = self.flag(*flag, &mut worker);
            }
        }));
        if outcome.is_err() {
            for (flag, result) in order.iter().zip(results) {
                *result = FlagResult::failed(*flag, Reason::BatchPanicked);
            }
        }
    }

    fn flag(&self, index: FlagIndex, worker: &mut WorkerScratch) -> FlagResult {
        let flag = self.project.flag(index);
        let none = FlagResult::NO_CONDITION;
        let result = |value, reason, condition| FlagResult {
            flag: index,
            value,
            reason,
            condition,
        };
        if self.context.continuity_failed && flag.ensures_continuity {
            return FlagResult::failed(index, Reason::HashKeyOverrideError);
        }
        if let Some(reason) = self.context.facts_failure
            && self.context.failed_flags.contains(index.0 as usize)
        {
            return FlagResult::failed(index, reason);
        }
        if self.selection.is_missing(index) {
            return result(FlagValue::Off, Reason::MissingDependency, none);
        }
        if flag.unsupported {
            return FlagResult::failed(index, Reason::FlagDataParsing);
        }
        match self.early_access(index, flag, worker) {
            Ok(None) => {}
            Ok(Some(matched)) => {
                let value = if matched {
                    FlagValue::On
                } else {
                    FlagValue::OffWithPayload
                };
                return result(value, Reason::SuperConditionValue, 0);
            }
            Err(reason) => return FlagResult::failed(index, reason),
        }
        if let Some(variant) = self.holdout(flag) {
            return result(FlagValue::Variant(variant), Reason::HoldoutConditionValue, none);
        }
        let (value, reason, condition) = self.conditions(index, flag, worker);
        result(value, reason, condition)
    }

    /// The decision of early access, if there is one (9.2).
    fn early_access(
        &self,
        index: FlagIndex,
        flag: &Flag,
        worker: &mut WorkerScratch,
    ) -> Result<Option<bool>, Reason> {
        match &flag.early_access {
            EarlyAccess::None => Ok(None),
            EarlyAccess::Enrollment(slot) => Ok(self
                .context
                .slots
                .get(*slot)
                .map(|value| matches!(value, PropertyValue::Str("true") | PropertyValue::Bool(true)))),
            EarlyAccess::Super { condition, present } => {
                if !present.iter().any(|slot| self.context.slots.get(*slot).is_some()) {
                    return Ok(None);
                }
                let condition = &self.project.conditions[*condition as usize];
                let mut rollout_hash = None;
                match self.filters_and_rollout(index, flag, condition, &mut rollout_hash, worker) {
                    ConditionOutcome::Match => Ok(Some(true)),
                    ConditionOutcome::Error(reason) => Err(reason),
                    _ => Ok(Some(false)),
                }
            }
        }
    }

    /// The variant of a held-out identifier (9.3). Stored continuity rows are not consulted.
    fn holdout(&self, flag: &Flag) -> Option<VariantIndex> {
        let rollout = match &flag.holdout {
            Holdout::None => return None,
            Holdout::Object { rollout, .. } | Holdout::Legacy { rollout, .. } => *rollout,
        };
        let identifier = self.identifier(flag, flag.group, None);
        if rollout != Rollout::All && !rollout.includes(hash(HOLDOUT_PREFIX, identifier, b"")) {
            return None;
        }
        match flag.holdout {
            Holdout::None => None,
            Holdout::Object { variant, .. } => Some(variant),
            Holdout::Legacy {
                variant, fallback, ..
            } => Some(
                variant
                    .or_else(|| variant_of(flag, identifier))
                    .unwrap_or(fallback),
            ),
        }
    }

    fn conditions(
        &self,
        index: FlagIndex,
        flag: &Flag,
        worker: &mut WorkerScratch,
    ) -> (FlagValue, Reason, u32) {
        let mut best = (Reason::NoGroupType, FlagResult::NO_CONDITION);
        let mut group_skipped = false;
        let mut behavioral = false;
        // Conditions of one flag mostly ask for the same identifier: its hash is computed once.
        let mut rollout_hash = None;
        let range = flag.conditions.start as usize..flag.conditions.end as usize;
        for condition in &self.project.conditions[range] {
            let outcome = match condition.aggregation {
                None if flag.device_bucketing && self.context.device_id.is_none() => {
                    ConditionOutcome::Miss(Reason::OutOfRolloutBound)
                }
                Some(group) if !self.group_key(group).is_usable() => {
                    group_skipped = true;
                    ConditionOutcome::Miss(Reason::NoGroupType)
                }
                _ => self.filters_and_rollout(index, flag, condition, &mut rollout_hash, worker),
            };
            let reason = match outcome {
                ConditionOutcome::Match => {
                    let value = self.matched(index, flag, condition);
                    return (value, Reason::ConditionMatch, condition.position);
                }
                ConditionOutcome::Error(reason) => {
                    return (FlagValue::Failed, reason, FlagResult::NO_CONDITION);
                }
                ConditionOutcome::OutsideRollout if flag.early_exit => {
                    return (FlagValue::Off, Reason::OutOfRolloutBound, condition.position);
                }
                ConditionOutcome::OutsideRollout => Reason::OutOfRolloutBound,
                ConditionOutcome::BehavioralMiss => {
                    behavioral = true;
                    Reason::NoConditionMatch
                }
                ConditionOutcome::Miss(reason) => reason,
            };
            if reason.score() >= best.0.score() {
                best = (reason, condition.position);
            }
        }
        let reason = match best.0 {
            Reason::NoConditionMatch if behavioral => Reason::NoConditionMatchBehavioral,
            Reason::NoConditionMatch if group_skipped => Reason::NoConditionMatchWithoutGroup,
            other => other,
        };
        (FlagValue::Off, reason, best.1)
    }

    fn matched(&self, index: FlagIndex, flag: &Flag, condition: &Condition) -> FlagValue {
        if let Some(variant) = condition.pinned {
            return FlagValue::Variant(variant);
        }
        if flag.buckets.is_empty() {
            return FlagValue::On;
        }
        let identifier = self.identifier(flag, condition.aggregation, self.hash_key_override(index));
        variant_of(flag, identifier).map_or(FlagValue::On, FlagValue::Variant)
    }

    /// Filters in stored order, then cohorts, then rollout (9.5).
    fn filters_and_rollout(
        &self,
        index: FlagIndex,
        flag: &Flag,
        condition: &Condition,
        rollout_hash: &mut Option<(Option<GroupIndex>, f64)>,
        worker: &mut WorkerScratch,
    ) -> ConditionOutcome {
        let filters = &self.project.filters[condition.filters.start as usize..condition.filters.end as usize];
        for filter in filters {
            if !self.filter_holds(filter, worker) {
                return ConditionOutcome::Miss(Reason::NoConditionMatch);
            }
        }
        if !condition.cohort_filters.is_empty() {
            match self.cohorts_hold(condition, worker) {
                ConditionOutcome::Match => {}
                other => return other,
            }
        }
        if condition.rollout == Rollout::All {
            return ConditionOutcome::Match;
        }
        let hash = match *rollout_hash {
            Some((aggregation, hash)) if aggregation == condition.aggregation => hash,
            _ => {
                let identifier = self.identifier(flag, condition.aggregation, self.hash_key_override(index));
                // An empty identifier is inside every rollout that is not negative (11.3).
                let value = if identifier.is_empty() {
                    0.0
                } else {
                    hash(&flag.hash_prefix, identifier, b"")
                };
                *rollout_hash = Some((condition.aggregation, value));
                value
            }
        };
        if condition.rollout.includes(hash) {
            ConditionOutcome::Match
        } else {
            ConditionOutcome::OutsideRollout
        }
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
                    let WorkerScratch { text, cohorts } = worker;
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

    fn group_key(&self, group: GroupIndex) -> &GroupKey<'_> {
        self.context
            .group_keys
            .get(usize::from(group.0))
            .unwrap_or(&GroupKey::None)
    }

    fn hash_key_override(&self, flag: FlagIndex) -> Option<&str> {
        self.context
            .hash_key_overrides
            .get(flag.0 as usize)
            .copied()
            .flatten()
    }

    /// What is hashed for a condition (11.4).
    fn identifier<'s>(
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

/// The hashed variant of an identifier (11.6).
fn variant_of(flag: &Flag, identifier: &str) -> Option<VariantIndex> {
    if flag.buckets.is_empty() {
        return None;
    }
    let value = if identifier.is_empty() {
        0.0
    } else {
        hash(&flag.hash_prefix, identifier, VARIANT_SALT)
    };
    choose_variant(&flag.buckets, value)
}
