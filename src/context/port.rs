//! What gathering asks of a store.

use std::fmt;

use serde_json::{Map, Value};

use crate::snapshot::BoxFuture;

/// One request's question about its person and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactsQuery {
    /// Owner of every row that may be read.
    pub team_id: i32,
    /// The request's distinct id; empty when only groups are asked for.
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

    /// Step 1 of 7.3: whether one of `flag_keys` has no row yet for the existing persons that own one of
    /// `distinct_ids`. False when there is no such person. `flag_keys`: the team's active continuity flags.
    fn continuity_write_needed<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        flag_keys: &'a [&'a str],
    ) -> BoxFuture<'a, Result<bool, GatherError>>;

    /// Step 2: in one transaction, inserts (person, flag key, `hash_key`) for every pair of an existing person
    /// and one of `flag_keys` without a row.
    /// Idempotent; the first writer wins.
    fn write_continuity<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        flag_keys: &'a [&'a str],
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

/// What ran out of time (`storage.md` 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeoutKind {
    /// No connection became free.
    Pool,
    /// No answer came back.
    Io,
    /// The client library gave up, in its own words.
    Protocol,
    /// The server ended the statement.
    QueryCanceled,
    /// A lock was not had.
    LockNotAvailable,
    /// The server ended an idle transaction.
    IdleInTransaction,
    /// `PERSONS_DB_DEADLINE_MS` for the whole request.
    PersonsDeadline,
}

impl TimeoutKind {
    /// Name in reasons and in the label `timeout_type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool_timeout",
            Self::Io => "io_timeout",
            Self::Protocol => "protocol_timeout",
            Self::QueryCanceled => "query_canceled",
            Self::LockNotAvailable => "lock_not_available",
            Self::IdleInTransaction => "idle_in_transaction_timeout",
            Self::PersonsDeadline => "persons_db_deadline",
        }
    }
}

/// Why stored facts could not be had (`evaluation.md` 16.1, `storage.md` 5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatherError {
    /// No connection, or it broke.
    Unavailable(String),
    /// Not asked, because the store has failed repeatedly just now.
    Refused(String),
    /// Something took too long.
    Timeout(TimeoutKind),
    /// The store failed in a way that another attempt may not meet: a person deleted meanwhile, a deadlock.
    Transient(String),
    /// Any other failure of the store.
    Database(String),
}

impl GatherError {
    /// Whether another attempt is worth its cost (`storage.md` 5.5): never after a timeout, which would double the
    /// wait, and never while the store is not asked.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Transient(_) => true,
            Self::Refused(_) | Self::Timeout(_) | Self::Database(_) => false,
        }
    }
}

impl fmt::Display for GatherError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(formatter, "person store unavailable: {detail}"),
            Self::Refused(detail) => write!(formatter, "person store not asked: {detail}"),
            Self::Timeout(kind) => write!(formatter, "person store timed out: {}", kind.name()),
            Self::Transient(detail) | Self::Database(detail) => {
                write!(formatter, "person store failed: {detail}")
            }
        }
    }
}

impl std::error::Error for GatherError {}
