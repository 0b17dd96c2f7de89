//! What quotas need of a store: who is limited, and a place for counts.

use std::fmt;
use std::time::Duration;

use super::key::{Bucket, UsageKey};
use super::limits::{Resource, TokenSet};
use crate::hypercache::{BoxFuture, TierError};

/// How long a batch whose fate is not known is repeated. What makes repeating safe has to be remembered for longer.
pub const DOUBT_MAX: Duration = Duration::from_secs(45 * 60);

/// Reads who is limited.
pub trait LimitSource: Send + Sync {
    /// The project tokens whose limit holds at `now_seconds` (since 1970) or longer, at most `tokens_max` of them.
    fn limited(
        &self,
        resource: Resource,
        now_seconds: u64,
        tokens_max: usize,
    ) -> BoxFuture<'_, Result<Limited, TierError>>;
}

/// What a read of limits found.
#[derive(Debug, Default)]
pub struct Limited {
    /// Project tokens.
    pub tokens: TokenSet,
    /// There are more than were asked for; the rest is not limited here.
    pub truncated: bool,
}

/// Adds usage counts to what is stored.
pub trait UsageSink: Send + Sync {
    /// Adds every increment of a batch to both hashes of its key, or none of them.
    fn apply<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Applied, ApplyError>>;
}

/// Increments that are added together.
#[derive(Debug)]
pub struct Batch {
    /// Never used twice, by this process or another: by it a store knows a repeated batch.
    pub id: String,
    /// What is added.
    pub increments: Vec<Increment>,
    /// An earlier attempt may have been applied.
    pub in_doubt: bool,
}

/// One count on its way to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Increment {
    /// Whose.
    pub key: UsageKey,
    /// Field of the hashes.
    pub bucket: Bucket,
    /// How many requests.
    pub count: u64,
}

impl Batch {
    /// Requests in it.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.increments.iter().map(|increment| increment.count).sum()
    }
}

/// A batch that has been added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Positions of increments that the store refused for good, one of the two hashes or both: a key of another type, say.
    pub refused: Vec<usize>,
}

/// Why a batch may not have been added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyError {
    /// This attempt added nothing.
    NotApplied(String),
    /// It may have, and the same batch may be given again: it will not be added twice.
    InDoubt(String),
    /// It may have, and giving it again could add it twice.
    Lost(String),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplied(detail) | Self::InDoubt(detail) | Self::Lost(detail) => {
                formatter.write_str(detail)
            }
        }
    }
}

impl std::error::Error for ApplyError {}
