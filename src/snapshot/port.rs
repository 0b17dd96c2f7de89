//! What the snapshot map asks of a store.

use std::fmt;

use crate::definition::RawProject;
pub use crate::hypercache::BoxFuture;

/// Definitions by project token.
pub trait ProjectSource: Send + Sync {
    /// Loads everything that the token's snapshot is compiled from; `None` when no team has the token.
    fn load<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<RawProject>, LoadError>>;

    /// Waits until definitions may have changed, then names the project tokens concerned (also
    /// tokens that did not exist before). Cancel safe: dropping the future loses no change.
    fn changed<'a>(&'a self) -> BoxFuture<'a, Result<Vec<String>, LoadError>>;
}

/// Why definitions could not be loaded. Never means "no such team".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// The store cannot be reached.
    Unavailable(String),
    /// The store answered too late.
    Timeout,
    /// The store answered with something that cannot be read.
    Corrupt(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(formatter, "store unavailable: {detail}"),
            Self::Timeout => formatter.write_str("store timed out"),
            Self::Corrupt(detail) => write!(formatter, "stored definitions unreadable: {detail}"),
        }
    }
}

impl std::error::Error for LoadError {}
