//! Stored shapes of flags, cohorts and teams, as Django writes them (`evaluation.md` section 2).
//!
//! Serde only: nothing is decided here. Parse with `sonic_rs::from_str`, because payloads are kept
//! as the text that was stored. Unknown keys are ignored everywhere.

mod billing;
mod cohort;
pub mod document;
mod flag;
mod project;

pub use billing::billable_key;
pub use cohort::RawCohort;
pub use flag::{
    FilterType, OperatorName, RawConditionSet, RawFilters, RawFlag, RawHoldout, RawMultivariate,
    RawPropertyFilter, RawVariant,
};
pub use project::{EvaluationMetadata, MalformedFlag, RawProject, RawTeam};
