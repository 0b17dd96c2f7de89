//! Gathers stored facts of a request (person, groups, static cohorts, continuity rows) before evaluation.

mod port;
pub use port::{ContinuityReadFrom, FactsQuery, GatherError, PersonSource, StoredFacts, StoredPerson};

mod continuity;
pub use continuity::continuity_rows;
