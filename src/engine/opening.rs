//! How the walk over a flag's conditions begins, as far as it is the same for every request.
//!
//! Most flags begin with a condition of persons whose filters ask for properties, if for anything: what happens there depends on
//! those and on hashes alone. That is settled at load, so that such a flag costs a look into a dense array. Where the walk goes on
//! behind its first condition, and for all other flags, [`super::conditions`] decides, which also says what is right here.

use std::ops::Range;

use super::bucket::Rollout;
use super::lanes::{PrefixSpan, Salt};
use super::outcome::{FlagIndex, FlagResult, FlagValue, Reason};
use super::project::{Condition, Flag};

/// The first step of one flag, for a request that settles nothing before its conditions and has a distinct id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    /// The record when the first condition matches, its hashed variant apart.
    pub matched: FlagResult,
    /// Who is inside the first condition.
    pub rollout: Rollout,
    pub prefix: PrefixSpan,
    pub step: Step,
    /// The hash that is asked for: the variant's when the condition matches everybody.
    pub salt: Salt,
    /// Who is inside a rollout has a hashed variant.
    pub hashes_variant: bool,
    /// Who is outside a rollout gets no further condition.
    is_last: bool,
    /// There is no further condition.
    is_only: bool,
    /// The first condition's, cohort filters apart: with those, a flag walks.
    filters: (u32, u32),
}

/// What has to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing but filters: everybody for whom they hold gets the same record.
    Settled,
    /// The hash of the distinct id with [`Opening::salt`].
    Hash,
    /// More than hashes: walk.
    Walk,
}

impl Opening {
    /// The opening of a flag. `conditions`: its own.
    pub fn new(index: FlagIndex, flag: &Flag, conditions: &[Condition]) -> Self {
        let first = conditions.first();
        let pinned = first.and_then(|condition| condition.pinned);
        let hashes_variant = pinned.is_none() && !flag.buckets.is_empty();
        Self {
            matched: FlagResult {
                flag: index,
                value: pinned.map_or(FlagValue::On, FlagValue::Variant),
                reason: Reason::ConditionMatch,
                condition: first.map_or(FlagResult::NO_CONDITION, |condition| condition.position),
            },
            rollout: first.map_or(Rollout::All, |condition| condition.rollout),
            prefix: flag.hash_prefix,
            step: first.map_or(Step::Walk, |first| step(flag, first, hashes_variant)),
            salt: match first.map(|condition| condition.rollout) {
                Some(Rollout::UpTo(_)) => Salt::Rollout,
                _ => Salt::Variant,
            },
            hashes_variant,
            is_last: conditions.len() == 1 || flag.early_exit,
            is_only: conditions.len() == 1,
            filters: first.map_or((0, 0), |condition| {
                (condition.filters.start, condition.filters.end)
            }),
        }
    }

    /// The first condition's filters, if it has any.
    #[inline]
    pub fn filters(&self) -> Option<Range<usize>> {
        let (start, end) = self.filters;
        (start < end).then_some(start as usize..end as usize)
    }

    /// Whether missing the first condition for that reason, its rollout or its filters, settles the flag.
    #[inline]
    pub fn is_settled_by(&self, miss: Reason) -> bool {
        match miss {
            Reason::OutOfRolloutBound => self.is_last,
            _ => self.is_only,
        }
    }

    /// Writes the record of a flag that is settled by missing its first condition.
    #[inline]
    pub fn write_missed(&self, miss: Reason, record: &mut FlagResult) {
        *record = self.matched;
        record.value = FlagValue::Off;
        record.reason = miss;
    }
}

fn step(flag: &Flag, first: &Condition, hashes_variant: bool) -> Step {
    let is_open = flag.is_plain
        && first.cohort_filters.is_empty()
        && first.aggregation.is_none()
        && !flag.device_bucketing;
    match first.rollout {
        _ if !is_open => Step::Walk,
        Rollout::All if !hashes_variant => Step::Settled,
        // Continuity replaces the distinct id.
        _ if flag.continuity => Step::Walk,
        _ => Step::Hash,
    }
}
