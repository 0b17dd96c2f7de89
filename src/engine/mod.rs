//! Compile and evaluate: pure, synchronous, no I/O.
//!
//! [`compile`] turns stored definitions into a [`CompiledProject`]. A request selects flags
//! ([`CompiledProject::select`]), fills property [`Slots`], asks [`CompiledProject::plan`] what it needs from
//! storage, and evaluates. The engine knows no HTTP, runtime or database.

mod bitset;
mod bucket;
mod cohort;
mod compile;
mod conditions;
mod date;
mod evaluate;
mod graph;
mod hash;
mod hashing;
mod lanes;
mod location;
mod matcher;
mod number;
mod opening;
mod outcome;
mod pattern;
mod plan;
mod project;
mod property;
mod recycle;
mod selection;
mod slices;
mod test;
pub mod value;
mod version;

pub use bitset::BitSet;
pub use bucket::Rollout;
pub use compile::compile;
pub use date::Instant;
pub use evaluate::{EvaluationContext, EvaluationScratch, EvaluationSummary, GroupKey, Parallelism};
pub use hash::{HOLDOUT_PREFIX, VARIANT_SALT, hash, hash60};
pub use lanes::Level;
pub use location::{LOCATION_PROPERTIES, LocationSlots};
pub use matcher::{Clock, Matcher};
pub use outcome::{FlagIndex, FlagResult, FlagValue, Reason, VariantIndex};
pub use plan::{ContinuityLookups, Plan, PlanScratch};
pub use project::{CompileWarning, CompiledProject, Flag};
pub use property::{GroupIndex, GroupTable, PropertyTable, SlotIndex, Slots};
pub use recycle::recycle;
pub use selection::{RequestRuntime, Selection, SelectionQuery, SelectionScratch};
pub use slices::SlicedEvaluation;
