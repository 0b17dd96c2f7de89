//! HyperCache: the entries that Django (or our own builder) writes to Redis and S3, and that this service reads.
//!
//! Keys, value encoding, ETags, the reader over two tiers, and the builder that makes entries from rows.
//! It knows no client of any store: `store` implements the ports, `snapshot` decides what a miss means.
//! Start with `entry.rs` for names and `port.rs` for what is asked of stores (`storage.md` 2 to 4).

pub mod build;
mod cohorts;
mod database;
mod entry;
mod etag;
pub mod json;
pub mod memory;
mod metadata;
pub mod parse;
pub mod pickle;
mod port;
pub mod reader;
pub mod value;
pub mod warm;

pub use database::{
    CohortRow, DatabaseError, DefinitionDatabase, FlagRow, ProjectRows, TEAM_SETTING_COLUMNS, TeamRow,
    TeamSelection,
};
pub use entry::{Entry, EntryKey, MISSING_TTL, REDIS_PREFIX};
pub use etag::etag;
pub use memory::{MemoryCache, NoObjects};
pub use metadata::{Dependencies, Metadata, direct_dependencies};
pub use port::{BoxFuture, EntryCache, EntryWrite, ObjectStore, StoredEntry, StoredPair, TierError};
