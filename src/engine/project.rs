//! The compiled form of one project: immutable, shared by every request of the team.

use std::collections::HashMap;
use std::ops::Range;

use ahash::RandomState;
use jiff::tz::TimeZone;

use super::bitset::BitSet;
use super::bucket::{Bucket, Rollout, choose_variant};
use super::cohort::{CohortIndex, Cohorts};
use super::graph::{Graph, Precomputed};
use super::lanes::{PrefixSpan, Prefixes};
use super::location::LocationSlots;
use super::opening::Opening;
use super::outcome::{FlagIndex, Reason, VariantIndex};
use super::property::{GroupIndex, PropertyTable, SlotIndex};
use super::selection::Selection;
use super::test::{TestIndex, Tests};

/// Everything that evaluation knows of a team.
#[derive(Debug)]
pub struct CompiledProject {
    pub(super) flags: Vec<Flag>,
    /// By flag.
    pub(super) openings: Box<[Opening]>,
    pub(super) prefixes: Prefixes,
    pub(super) by_key: HashMap<Box<str>, FlagIndex, RandomState>,
    pub(super) conditions: Vec<Condition>,
    pub(super) filters: Vec<Filter>,
    pub(super) tests: Tests,
    pub(super) cohort_filters: Vec<CohortFilter>,
    pub(super) properties: PropertyTable,
    pub(super) cohorts: Cohorts,
    pub(super) zone: TimeZone,
    pub(super) filterable: Filterable,
    pub(super) dependencies: Dependencies,
    /// Flags that refer to a group type while the mapping cannot be read: they set the errors flag (`evaluation.md` 14.2).
    pub(super) unmapped: BitSet,
    /// Ready selections by [`super::selection::runtime_position`].
    pub(super) ready: [Selection; 4],
    pub(super) location: Option<Box<LocationSlots>>,
    pub(super) warnings: Vec<CompileWarning>,
    /// Estimated instructions of each flag (`compile/cost.rs`).
    pub(super) costs: Box<[u32]>,
}

/// What requests can leave flags out by, as bit sets over flag indices.
#[derive(Debug, Default)]
pub(super) struct Filterable {
    /// Inactive or deleted: left out of every request.
    pub retired: BitSet,
    /// `evaluation_runtime` client.
    pub client_only: BitSet,
    /// `evaluation_runtime` server.
    pub server_only: BitSet,
    /// Key does not start with `survey-targeting-`.
    pub not_survey: BitSet,
    /// Not retired, and requests that it takes part in are billed.
    pub billable: BitSet,
    /// Flags with a non-empty context list.
    pub with_contexts: BitSet,
    /// Flags by context.
    pub by_context: HashMap<Box<str>, BitSet, RandomState>,
}

/// Dependency data by flag index.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    pub graph: Graph,
    pub precomputed: Option<Precomputed>,
    /// Transitive targets of flags that have any, left-out flags of every request not followed.
    pub closures: Vec<Option<BitSet>>,
    /// Flags with targets.
    pub dependents: BitSet,
    /// Flags whose being left out changes who is missing or in a cycle.
    pub fragile: BitSet,
    /// Whether any flag depends on another: otherwise no dependency table is kept.
    pub any: bool,
}

/// A compiled flag.
#[derive(Debug)]
pub struct Flag {
    /// `posthog_featureflag.id`.
    pub id: i32,
    /// Response key.
    pub key: Box<str>,
    /// Row version, 0 for none.
    pub version: i32,
    /// As the definition has it.
    pub has_experiment: Option<bool>,
    /// The variant texts that this flag can answer with, each once.
    pub variants: Box<[Box<str>]>,
    /// Payload of `true` as JSON text.
    pub payload: Option<Box<str>>,
    /// Payloads by variant text, as JSON text.
    pub variant_payloads: Box<[Option<Box<str>>]>,

    pub(super) hash_prefix: PrefixSpan,
    pub(super) conditions: Range<u32>,
    pub(super) buckets: Box<[Bucket]>,
    pub(super) early_access: EarlyAccess,
    pub(super) holdout: Holdout,
    pub(super) group: Option<GroupIndex>,
    pub(super) device_bucketing: bool,
    pub(super) continuity: bool,
    pub(super) ensures_continuity: bool,
    pub(super) needs_continuity_lookup: bool,
    pub(super) early_exit: bool,
    pub(super) unsupported: bool,
    /// Nothing of the flag's own settles it before its conditions are looked at.
    pub(super) is_plain: bool,
    pub(super) needs: Needs,
}

/// One condition set.
#[derive(Debug)]
pub(super) struct Condition {
    pub filters: Range<u32>,
    pub cohort_filters: Range<u32>,
    pub aggregation: Option<GroupIndex>,
    pub rollout: Rollout,
    pub pinned: Option<VariantIndex>,
    /// Stored position.
    pub position: u32,
}

/// A filter of a condition, cohort filters apart.
#[derive(Debug)]
pub(super) enum Filter {
    Property(TestIndex),
    /// `flag_evaluates_to`.
    Dependency {
        target: FlagIndex,
        wanted: Wanted,
    },
    /// Settled at load.
    Constant(bool),
}

/// What a dependency must have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    NotFalse,
    False,
    Variant(VariantIndex),
}

/// A cohort filter of a condition.
#[derive(Debug, Clone, Copy)]
pub(super) enum CohortFilter {
    /// Membership that passes.
    Member { cohort: CohortIndex, wanted: bool },
    /// Determined for its errors, but no operator passes.
    Never { cohort: CohortIndex },
    /// Fails the flag.
    Error(Reason),
}

#[derive(Debug)]
pub(super) enum EarlyAccess {
    None,
    /// `feature_enrollment`: the person property that decides.
    Enrollment(SlotIndex),
    /// `super_groups`: the condition, and the properties of which one must be present.
    Super {
        condition: u32,
        present: Box<[SlotIndex]>,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Holdout {
    None,
    /// `holdout`: held out up to the threshold.
    Object {
        rollout: Rollout,
        variant: VariantIndex,
    },
    /// `holdout_groups`: `None` is everybody; the variant is the stored one, else hashed, else `fallback`.
    Legacy {
        rollout: Rollout,
        variant: Option<VariantIndex>,
        fallback: VariantIndex,
    },
}

/// What a flag could want from storage (`evaluation.md` 8.1).
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Whatever the request sends.
    pub always: bool,
    /// Person properties wanted unless the request sends them.
    pub person: Box<[SlotIndex]>,
    /// Group properties wanted unless the request sends them.
    pub group: Box<[(GroupIndex, SlotIndex)]>,
    /// Group types that the flag refers to.
    pub referenced_groups: Box<[GroupIndex]>,
    /// Static cohorts, by position, that its conditions can depend on.
    pub static_cohorts: Box<[u32]>,
}

/// Something in the definitions that cannot work; reported once, at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompileWarning {
    /// A pattern that does not compile: its filter never matches a present value.
    BrokenRegex {
        /// Flag key.
        flag: Box<str>,
    },
    /// A configuration format that is not supported: the flag answers an error record.
    UnsupportedFormat {
        /// Flag key.
        flag: Box<str>,
    },
    /// A second flag of the same key: ignored.
    DuplicateKey {
        /// Flag key.
        flag: Box<str>,
    },
    /// A timezone that is not known: UTC is used.
    UnknownTimezone {
        /// As stored.
        name: Box<str>,
    },
}

impl Flag {
    /// The variant text that a variant hash selects (`evaluation.md` 11.6).
    #[must_use]
    pub fn variant_of_hash(&self, hash: f64) -> Option<&str> {
        choose_variant(&self.buckets, hash).map(|variant| &*self.variants[usize::from(variant.0)])
    }
}

impl Flag {
    /// Whether the flag keeps what a person was first shown.
    #[must_use]
    pub fn has_continuity(&self) -> bool {
        self.continuity
    }

    /// Whether the flag is bucketed by device.
    #[must_use]
    pub fn is_bucketed_by_device(&self) -> bool {
        self.device_bucketing
    }
}

impl CompiledProject {
    /// The flags in evaluation order.
    #[must_use]
    pub fn flags(&self) -> &[Flag] {
        &self.flags
    }

    /// One flag.
    #[must_use]
    pub fn flag(&self, index: FlagIndex) -> &Flag {
        &self.flags[index.0 as usize]
    }

    /// Property slots.
    #[must_use]
    pub fn properties(&self) -> &PropertyTable {
        &self.properties
    }

    /// Slots of a location that some flag looks at; `None`: where a request comes from cannot matter.
    #[must_use]
    pub fn location(&self) -> Option<&LocationSlots> {
        self.location.as_deref()
    }

    /// Static cohorts whose membership evaluation may ask for.
    #[must_use]
    pub fn static_cohort_ids(&self) -> &[i32] {
        self.cohorts.static_ids()
    }

    /// Keys of flags that are active, not deleted, and marked for experience continuity, whatever they aggregate by:
    /// those get hash keys recorded (`evaluation.md` 7.3 step 1).
    pub fn continuity_flag_keys(&self) -> impl Iterator<Item = &str> {
        let retired = &self.filterable.retired;
        self.flags
            .iter()
            .enumerate()
            .filter(|(at, flag)| flag.ensures_continuity && !retired.contains(*at))
            .map(|(_, flag)| &*flag.key)
    }

    /// Position of a flag by key.
    #[must_use]
    pub fn flag_by_key(&self, key: &str) -> Option<FlagIndex> {
        self.by_key.get(key).copied()
    }

    /// The team's timezone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// What could not be compiled.
    #[must_use]
    pub fn warnings(&self) -> &[CompileWarning] {
        &self.warnings
    }

    /// Estimated heap bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let text = |text: &str| text.len();
        let flags: usize = self
            .flags
            .iter()
            .map(|flag| {
                size_of::<Flag>()
                    + 2 * (text(&flag.key) + size_of::<(Box<str>, FlagIndex)>())
                    + flag.payload.as_deref().map_or(0, text)
                    + flag
                        .variants
                        .iter()
                        .map(|variant| variant.len() + 16)
                        .sum::<usize>()
                    + flag
                        .variant_payloads
                        .iter()
                        .map(|payload| payload.as_deref().map_or(0, text) + 16)
                        .sum::<usize>()
                    + size_of_val(&*flag.buckets)
                    + size_of_val(&*flag.needs.person)
                    + size_of_val(&*flag.needs.group)
                    + size_of_val(&*flag.needs.referenced_groups)
                    + size_of_val(&*flag.needs.static_cohorts)
            })
            .sum();
        flags
            + self.tests.heap_bytes()
            + size_of_val(&*self.openings)
            + self.prefixes.heap_bytes()
            + self.filters.capacity() * size_of::<Filter>()
            + self.conditions.capacity() * size_of::<Condition>()
            + self.cohort_filters.capacity() * size_of::<CohortFilter>()
            + self.properties.heap_bytes()
            + self.cohorts.heap_bytes()
            + self.unmapped.heap_bytes()
            + size_of_val(&*self.costs)
            + self.ready.iter().map(Selection::heap_bytes).sum::<usize>()
            + self
                .dependencies
                .closures
                .iter()
                .flatten()
                .map(BitSet::heap_bytes)
                .sum::<usize>()
    }
}
