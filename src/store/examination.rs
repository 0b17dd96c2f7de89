//! What a look at a store found, in words that an operator can act on. Each adapter knows how to look and sorts what it meets;
//! what to advise is decided where the settings are known.

use std::fmt;
use std::time::Duration;

/// A store that can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sound {
    /// What it is: product, version, role.
    pub what: String,
    /// What will not work all the same.
    pub remarks: Vec<String>,
    /// How far its clock is from ours, either way, where it tells the time.
    pub clock_distance: Option<Duration>,
}

/// Why a store cannot be used. Details never hold a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Nobody listens there, or the name is not known.
    Unreachable(String),
    /// It did not answer in time.
    Silent(Duration),
    /// It wants credentials and was given none.
    NoCredentials(String),
    /// It does not accept the credentials.
    WrongCredentials(String),
    /// The credentials are accepted and do not allow enough.
    NotPermitted(String),
    /// The server answers and has no such database or bucket.
    NoSuchPlace(String),
    /// The database has none of these tables.
    MissingTables(Vec<String>),
    /// Writes go here, and it takes none.
    ReadOnly(String),
    /// The connection cannot be made as safe as the settings ask.
    Tls(String),
    /// Anything else, in its own words.
    Other(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(detail) => write!(formatter, "not reachable: {detail}"),
            Self::Silent(limit) => write!(formatter, "no answer within {} s", limit.as_secs_f64()),
            Self::NoCredentials(detail) => write!(formatter, "no credentials: {detail}"),
            Self::WrongCredentials(detail) => write!(formatter, "wrong credentials: {detail}"),
            Self::NotPermitted(detail) => write!(formatter, "not permitted: {detail}"),
            Self::NoSuchPlace(detail) => formatter.write_str(detail),
            Self::MissingTables(tables) => write!(formatter, "tables are missing: {}", tables.join(", ")),
            Self::ReadOnly(detail) => write!(formatter, "takes no writes: {detail}"),
            Self::Tls(detail) => write!(formatter, "TLS: {detail}"),
            Self::Other(detail) => formatter.write_str(detail),
        }
    }
}

/// One store and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// Name as in metrics and logs.
    pub source: &'static str,
    /// Where it is, without credentials.
    pub place: String,
    /// Whether it can be used.
    pub found: Result<Sound, Obstacle>,
}

/// An examination within its time.
pub(super) async fn within(
    limit: Duration,
    source: &'static str,
    place: String,
    examining: impl Future<Output = Result<Sound, Obstacle>>,
) -> Examination {
    let found = tokio::time::timeout(limit, examining)
        .await
        .unwrap_or(Err(Obstacle::Silent(limit)));
    Examination { source, place, found }
}
