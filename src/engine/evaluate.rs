//! Evaluation of one flag and of a whole selection (`evaluation.md` 9 to 11).
//!
//! Evaluation does not fail: each flag gets a value and a reason, broken definitions included.

use rayon::prelude::*;

use super::bitset::BitSet;
use super::bucket::Rollout;
use super::cohort::CohortMemo;
use super::conditions::{ConditionOutcome, Place, Walk};
use super::hashing::Hashing;
use super::lanes::Level;
use super::matcher::Clock;
use super::opening::{Opening, Step};
use super::outcome::{FlagIndex, FlagResult, FlagValue, Reason, VariantIndex};
use super::project::{CompiledProject, EarlyAccess, Flag, Holdout};
use super::property::Slots;
use super::selection::Selection;
use super::test::TestMemo;
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

impl EvaluationScratch {
    /// Whether some record says that its flag could not be evaluated.
    pub(super) fn has_failed(&self) -> bool {
        self.results
            .iter()
            .any(|result| result.value == FlagValue::Failed)
    }

    /// Hashes on that level instead of the processor's best.
    #[must_use]
    pub fn with_level(level: Level) -> Self {
        Self {
            worker: WorkerScratch {
                hashing: Hashing::with_level(level),
                ..WorkerScratch::default()
            },
            ..Self::default()
        }
    }
}

/// What one thread needs to evaluate flags.
#[derive(Debug, Default)]
pub(super) struct WorkerScratch {
    pub text: String,
    pub cohorts: CohortMemo,
    pub hashing: Hashing,
    pub tests: TestMemo,
}

impl WorkerScratch {
    /// A request begins.
    fn begin(&mut self, project: &CompiledProject) {
        self.cohorts.reset(&project.cohorts);
        self.hashing.begin();
        self.tests.reset(&project.tests);
    }
}

/// Value of a flag as dependents see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DependencyValue {
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
        let mut summary = self.begin(selection, context, scratch);
        for stage in selection.stages() {
            summary.parallel_stages +=
                self.part(selection, context, parallelism, stage.clone(), stage, scratch);
        }
        summary.errors |= scratch.has_failed();
        summary
    }

    /// Makes the scratch ready for [`CompiledProject::part`]. The summary lacks what only the records tell.
    pub(super) fn begin(
        &self,
        selection: &Selection,
        context: &EvaluationContext<'_, '_>,
        scratch: &mut EvaluationScratch,
    ) -> EvaluationSummary {
        let EvaluationScratch {
            results,
            values,
            worker,
        } = scratch;
        results.clear();
        worker.begin(self);
        values.clear();
        if self.dependencies.any {
            values.resize(self.flags.len(), DependencyValue::None);
            for flag in selection.left_out().iter() {
                values[flag] = DependencyValue::Bool(false);
            }
        }
        EvaluationSummary {
            errors: selection.has_cycle() || context.continuity_failed || self.lacks_mapping(selection),
            parallel_stages: 0,
        }
    }

    /// Evaluates `part` of a stage, which continues where the last part ended; `stage` is all of it.
    /// Returns how many stages ran on the pool.
    pub(super) fn part(
        &self,
        selection: &Selection,
        context: &EvaluationContext<'_, '_>,
        parallelism: Parallelism,
        part: std::ops::Range<usize>,
        stage: std::ops::Range<usize>,
        scratch: &mut EvaluationScratch,
    ) -> u32 {
        let EvaluationScratch {
            results,
            values,
            worker,
        } = scratch;
        let is_plain =
            !context.continuity_failed && context.facts_failure.is_none() && !selection.has_missing();
        let order = &selection.order()[part.clone()];
        let evaluator = Evaluator {
            project: self,
            context,
            selection,
            values,
            is_plain,
        };
        results.resize(part.end, FlagResult::failed(FlagIndex(0), Reason::BatchPanicked));
        let pending = &mut results[part.clone()];
        let parallel = order.len() >= parallelism.threshold;
        if parallel {
            pending
                .par_chunks_mut(PARALLEL_CHUNK)
                .zip(order.par_chunks(PARALLEL_CHUNK))
                .for_each(|(results, order)| evaluator.chunk(order, results));
        } else {
            evaluator.flags(order, pending, worker);
        }
        if self.dependencies.any && part.end == stage.end {
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
        u32::from(parallel)
    }

    /// Whether a selected flag refers to a group type although the mapping could not be read.
    fn lacks_mapping(&self, selection: &Selection) -> bool {
        let lacks = |flag: &FlagIndex| self.unmapped.contains(flag.0 as usize);
        !self.unmapped.is_empty() && selection.order().iter().any(lacks)
    }
}

/// What the evaluation of one stage reads.
pub(super) struct Evaluator<'e, 'r, 'a> {
    pub project: &'e CompiledProject,
    pub context: &'e EvaluationContext<'r, 'a>,
    pub selection: &'e Selection,
    pub values: &'e [DependencyValue],
    /// Nothing about the request settles a flag before its conditions; [`Flag::is_plain`] says so of the flag.
    pub is_plain: bool,
}

impl Evaluator<'_, '_, '_> {
    /// Evaluates a batch on a pool thread. A panic is contained: the whole batch reports it.
    fn chunk(&self, order: &[FlagIndex], results: &mut [FlagResult]) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut worker = WorkerScratch::default();
            worker.begin(self.project);
            self.flags(order, results, &mut worker);
        }));
        if outcome.is_err() {
            for (flag, result) in order.iter().zip(results) {
                *result = FlagResult::failed(*flag, Reason::BatchPanicked);
            }
        }
    }

    /// Evaluates flags that do not depend on each other. Those that need a hash wait until there are enough of them.
    fn flags(&self, order: &[FlagIndex], results: &mut [FlagResult], worker: &mut WorkerScratch) {
        let openings = if self.is_plain && !self.context.distinct_id.is_empty() {
            &*self.project.openings
        } else {
            &[]
        };
        for (position, index) in order.iter().enumerate() {
            let place = Place {
                position: position as u32,
                flag: *index,
            };
            match openings.get(index.0 as usize) {
                Some(opening) if opening.step != Step::Walk => {
                    if let Some(filters) = opening.filters()
                        && !self.all_hold(filters, worker)
                    {
                        self.filters_missed(place, opening, results, worker);
                    } else if opening.step == Step::Settled {
                        results[position] = opening.matched;
                        continue;
                    } else if !self.open(place, opening, worker) {
                        self.walk(place, results, worker);
                    }
                }
                _ => self.walk(place, results, worker),
            }
            while worker.hashing.is_full() {
                self.resume(results, worker);
            }
        }
        self.resume_all(results, worker);
    }

    /// The filters of a flag's first condition do not hold.
    fn filters_missed(
        &self,
        place: Place,
        opening: &Opening,
        results: &mut [FlagResult],
        worker: &mut WorkerScratch,
    ) {
        let miss = Reason::NoConditionMatch;
        if !opening.is_settled_by(miss) {
            let walk = Walk::after_miss(miss, opening.matched.condition, None);
            return self.walk_on(place, walk, results, worker);
        }
        if let Some(record) = results.get_mut(place.position as usize) {
            opening.write_missed(miss, record);
        }
    }

    /// Walks one flag from the start. Not part of the loop, which keeps that small.
    #[inline(never)]
    fn walk(&self, place: Place, results: &mut [FlagResult], worker: &mut WorkerScratch) {
        let flag = self.project.flag(place.flag);
        if !(self.is_plain && flag.is_plain)
            && let Some(settled) = self.before_conditions(place.flag, flag, worker)
        {
            results[place.position as usize] = settled;
            return;
        }
        self.conditions(place, flag, Walk::START, results, worker);
    }

    /// What settles a flag before its conditions are looked at.
    fn before_conditions(
        &self,
        index: FlagIndex,
        flag: &Flag,
        worker: &mut WorkerScratch,
    ) -> Option<FlagResult> {
        let none = FlagResult::NO_CONDITION;
        let result = |value, reason, condition| {
            Some(FlagResult {
                flag: index,
                value,
                reason,
                condition,
            })
        };
        let failed = |reason| Some(FlagResult::failed(index, reason));
        if self.context.continuity_failed && flag.ensures_continuity {
            return failed(Reason::HashKeyOverrideError);
        }
        if let Some(reason) = self.context.facts_failure
            && self.context.failed_flags.contains(index.0 as usize)
        {
            return failed(reason);
        }
        if self.selection.is_missing(index) {
            return result(FlagValue::Off, Reason::MissingDependency, none);
        }
        if flag.unsupported {
            return failed(Reason::FlagDataParsing);
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
            Err(reason) => return failed(reason),
        }
        let variant = self.holdout(flag, worker)?;
        result(FlagValue::Variant(variant), Reason::HoldoutConditionValue, none)
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
                match self.filters_hold(condition, worker) {
                    ConditionOutcome::Match => Ok(Some(self.is_inside(index, flag, condition))),
                    ConditionOutcome::Error(reason) => Err(reason),
                    _ => Ok(Some(false)),
                }
            }
        }
    }

    /// The variant of a held-out identifier (9.3). Stored continuity rows are not consulted.
    fn holdout(&self, flag: &Flag, worker: &mut WorkerScratch) -> Option<VariantIndex> {
        let rollout = match &flag.holdout {
            Holdout::None => return None,
            Holdout::Object { rollout, .. } | Holdout::Legacy { rollout, .. } => *rollout,
        };
        let identifier = self.identifier(flag, flag.group, None);
        if rollout != Rollout::All && !rollout.includes(worker.hashing.holdout(identifier)) {
            return None;
        }
        match flag.holdout {
            Holdout::None => None,
            Holdout::Object { variant, .. } => Some(variant),
            Holdout::Legacy {
                variant, fallback, ..
            } => Some(
                variant
                    .or_else(|| self.variant_of(flag, identifier))
                    .unwrap_or(fallback),
            ),
        }
    }
}
