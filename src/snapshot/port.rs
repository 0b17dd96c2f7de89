//! What the snapshot map asks of whatever loads projects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::project::{KnownInputs, ProjectSnapshot, Tags};
use super::push::{Epochs, PushClock};
use crate::definition::RawProject;
pub use crate::hypercache::BoxFuture;

/// Projects by project token.
pub trait ProjectSource: Send + Sync {
    /// Loads everything that the token's snapshot is compiled from. `known` is the snapshot that is held: inputs that
    /// have not changed since need not be read again into memory.
    fn load<'a>(
        &'a self,
        token: &'a str,
        known: Option<&'a ProjectSnapshot>,
    ) -> BoxFuture<'a, Result<Loaded, LoadError>>;

    /// Waits until definitions may have changed, then says which. Cancel safe: dropping the future loses no change.
    fn changed(&self) -> BoxFuture<'_, Result<Changes, LoadError>>;

    /// What tracking connections have proven; a clock without servers when nothing is tracked.
    fn push_clock(&self) -> Arc<PushClock>;
}

/// What a map of values by project token can hold.
pub trait Held: Send + Sync + 'static {
    /// The team that the value is of.
    fn team_id(&self) -> i32;

    /// Estimated memory, for the bound of the map.
    fn heap_bytes(&self) -> usize;

    /// Whether values of this kind may differ after such a change.
    fn depends_on(change: &Changed) -> bool;
}

/// Where a map's values come from.
pub trait HeldSource<V>: Send + Sync {
    /// The value of a token; `known` is the one that is held.
    fn load<'a>(&'a self, token: &'a str, known: Option<&'a V>)
    -> BoxFuture<'a, Result<Found<V>, LoadError>>;

    /// As [`ProjectSource::changed`]. One map of a process asks, and tells the others.
    fn changed(&self) -> BoxFuture<'_, Result<Changes, LoadError>>;

    /// As [`ProjectSource::push_clock`].
    fn push_clock(&self) -> Arc<PushClock>;
}

/// What a load found.
#[derive(Debug)]
pub enum Found<V> {
    /// Definitely nothing for this token.
    Nothing,
    /// What is known.
    Unchanged(Validity),
    /// Something else.
    Value(Arc<V>, Validity),
}

/// The outcome of a load.
#[derive(Debug)]
pub enum Loaded {
    /// No team has the token.
    UnknownToken,
    /// Every input is what the known snapshot was compiled from.
    Unchanged(Validity),
    /// Something has changed, or nothing was known.
    Project(Box<LoadedProject>),
}

/// A project and what it was read from.
#[derive(Debug)]
pub struct LoadedProject {
    /// To be compiled.
    pub raw: RawProject,
    /// Identity of all inputs.
    pub tags: Tags,
    /// What a later load must know of them.
    pub inputs: KnownInputs,
    /// How long it may be held without asking.
    pub validity: Validity,
}

/// For how long a load speaks, besides the age limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Validity {
    /// Epochs from before the load, when every entry came from tracked servers; `None`: age alone counts.
    pub epochs: Option<Epochs>,
    /// Inputs that nobody announces are due again after this time; `None`: there are none.
    pub recheck_after: Option<Duration>,
    /// The lowest tier that a part came from.
    pub tier: Tier,
}

/// Where definitions were read from, the first tier first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Nobody says.
    #[default]
    None,
    /// Redis, or what takes its place.
    Redis,
    /// S3, or what takes its place.
    S3,
    /// The database.
    Database,
}

impl Tier {
    /// Every tier, in order.
    pub const ALL: [Self; 4] = [Self::None, Self::Redis, Self::S3, Self::Database];

    /// Label `tier` of metrics, and `team_cache_source` of logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Redis => "redis",
            Self::S3 => "s3",
            Self::Database => "database",
        }
    }
}

/// What may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These projects.
    Projects(Vec<Changed>),
    /// Anything: announcements were lost, or a server was emptied.
    Everything,
}

/// One project that may have changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Changed {
    /// By project token, also of a token that did not exist before.
    Token(Box<str>),
    /// The flags of a team, by its id.
    Team(i32),
    /// What SDKs evaluate a team's flags with, by its id.
    Definitions(i32),
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
    /// What a cache holds cannot be read, and the database may not be asked.
    CacheUnreadable(String),
    /// The store failed in another way.
    Failed(String),
    /// No cache has it, and the database may not be asked.
    NotCached,
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(formatter, "store unavailable: {detail}"),
            Self::Timeout => formatter.write_str("store timed out"),
            Self::Corrupt(detail) => write!(formatter, "stored definitions unreadable: {detail}"),
            Self::CacheUnreadable(detail) => write!(formatter, "cached definitions unreadable: {detail}"),
            Self::Failed(detail) => write!(formatter, "store failed: {detail}"),
            Self::NotCached => formatter.write_str("no cache has the entry"),
        }
    }
}

impl std::error::Error for LoadError {}
