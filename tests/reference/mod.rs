//! A second, naive implementation of `evaluation.md`, used only to check the first one.
//!
//! It works on plain JSON trees, prepares nothing and shares nothing with the crate's engine: a mistake
//! has to be made twice, independently, to go unnoticed. Start at [`evaluate`]. [`generate`] makes
//! random cases from a seed, [`minimise`] shrinks one that shows a difference.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary that includes this module uses a part of it"
)]

pub mod cohorts;
pub mod compare;
pub mod conditions;
pub mod dates;
pub mod dependencies;
pub mod evaluate;
pub mod generate;
pub mod hash;
pub mod left_out;
pub mod metadata;
pub mod minimise;
pub mod model;
pub mod operators;
pub mod outcome;
pub mod preparation;
pub mod prng;
pub mod properties;
pub mod reading;
pub mod text;
pub mod trace;
pub mod versions;

pub use compare::differences;
pub use evaluate::{evaluate, evaluate_as, evaluate_traced};
pub use minimise::{golden, minimise};
pub use model::Case;
pub use outcome::{FlagOutcome, Outcome};
pub use reading::Reading;
pub use trace::Trace;
