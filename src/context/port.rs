//! What gathering asks of a store.

use std::fmt;

use serde_json::{Map, Value};

use crate::snapshot::BoxFuture;

/// One request's question about its person and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactsQuery {
    /// Owner of every row that may be read.
    pub team_id: i32,
    /// The request's distinct id; `None` when only groups are asked for.
    pub distinct_id: String,
    /// Static cohorts whose membership is asked for.
    pub static_cohort_ids: Vec<i32>,
    /// Group type index and group key; matched as pairs.
    pub groups: Vec<(i32, String)>,
}

/// The answer to a [`FactsQuery`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredFacts {
    /// `None`: no such person, which is not an error.
    pub person: Option<StoredPerson>,
    /// One entry a queried group, in the order of the query; `None`: no row. Non-objects are empty maps.
    pub groups: Vec<Option<Map<String, Value>>>,
}

/// A person row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredPerson {
    /// Properties; anything but an object counts as empty.
    pub properties: Map<String, Value>,
    /// `created_at` as ISO 8601 text.
    pub created_at: Option<String>,
    /// Which of the queried static cohorts the person is in.
    pub static_cohort_ids: Vec<i32>,
}

/// Which copy continuity rows are read from (`evaluation.md` 7.3 step 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContinuityReadFrom {
    /// A replica may answer.
    Reader,
    /// Must see what this request has just written.
    Writer,
}

/// Persons, groups, static membership and continuity rows of one store.
pub trait PersonSource: Send + Sync {
    /// Person, static membership and groups in as few round trips as the store allows.
    fn facts<'a>(&'a self, query: &'a FactsQuery) -> BoxFuture<'a, Result<StoredFacts, GatherError>>;

    /// Step 1 of 7.3: whether some active continuity flag of the team has no row yet for the existing
    /// persons that own one of `distinct_ids`. False when there is no such person.
    fn continuity_write_needed<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
    ) -> BoxFuture<'a, Result<bool, GatherError>>;

    /// Step 2: in one transaction, inserts (person, flag key, `hash_key`) for every pair without a row.
    /// Idempotent; the first writer wins.
    fn write_continuity<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        hash_key: &'a str,
    ) -> BoxFuture<'a, Result<(), GatherError>>;

    /// Step 3: rows (flag key, hash key) of the persons that own `distinct_ids`; where two persons have
    /// a row for one key, the owner of the earlier distinct id wins. One entry a key.
    fn read_continuity<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        from: ContinuityReadFrom,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, GatherError>>;
}

/// Why stored facts could not be had. `code` is the reason that flags report (`evaluation.md` 16.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatherError {
    /// No connection.
    Unavailable(String),
    /// The statement took too long.
    Timeout,
    /// Any other failure of the store.
    Database(String),
}

impl fmt::Display for GatherError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(formatter, "person store unavailable: {detail}"),
            Self::Timeout => formatter.write_str("person store timed out"),
            Self::Database(detail) => write!(formatter, "person store failed: {detail}"),
        }
    }
}

impl std::error::Error for GatherError {}
