//! Gathers stored facts of a request (person, groups, static cohorts, continuity rows) before evaluation.

mod continuity;
pub mod cookieless;
pub mod geo;
mod port;

pub use continuity::{ContinuityQuery, JitteredPause, Pause, Retries, gather_continuity};
pub use port::{
    ContinuityReadFrom, FactsQuery, GatherError, PersonSource, StoredFacts, StoredPerson, TimeoutKind,
};
