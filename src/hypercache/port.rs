//! What the reader and the builder ask of the two tiers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::EntryKey;

/// A future that a port returns; boxed because ports are chosen at start.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The first tier: entries as Django's cache stores them (Redis; in embedded mode memory of this process).
/// Which client serves which entry is the adapter's business (`storage.md` 6.3); payload and ETag of one entry
/// always come from the same one. All bytes are stored values: pickled, perhaps compressed.
pub trait EntryCache: Send + Sync {
    /// The stored payload; `None` is a definite absence.
    fn get<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>>;

    /// The stored ETag.
    fn get_etag<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>>;

    /// Payload and ETag as one server has them together: an ETag is never that of another payload (2.6).
    fn get_both<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<StoredPair, TierError>>;

    /// What the stored entry is recognised by and how long it will still live, for a builder that may skip a write; never from a
    /// replica, which may lag. `None`: no payload.
    fn inspect<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<StoredEntry>, TierError>>;

    /// Writes payload, and ETag or its absence, in one transaction; then the expiry set (2.7, 2.9).
    fn put<'a>(&'a self, key: &'a EntryKey, write: EntryWrite) -> BoxFuture<'a, Result<(), TierError>>;

    /// Deletes payload and ETag, and the member of the expiry set.
    fn delete<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<(), TierError>>;

    /// Read repair (2.10): writes the payload only where none is, and then overwrites the ETag. Not entered in the expiry
    /// set. Whether the payload was written.
    fn repair<'a>(&'a self, key: &'a EntryKey, write: EntryWrite) -> BoxFuture<'a, Result<bool, TierError>>;
}

/// A payload and its ETag, as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredPair {
    /// `None` is a definite absence.
    pub payload: Option<Bytes>,
    /// May be there without a payload.
    pub etag: Option<Bytes>,
}

/// What a builder compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The stored ETag, or the payload of an entry that has none by its kind. Not decoded.
    pub mark: Option<Bytes>,
    /// `None`: it does not expire.
    pub remaining: Option<Duration>,
}

/// A write to the first tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryWrite {
    /// Stored form of the payload.
    pub payload: Bytes,
    /// Stored form of the ETag; `None` deletes a stored one.
    pub etag: Option<Bytes>,
    /// Lifetime of both.
    pub ttl: Duration,
    /// Whether the expiry set gets the member; not for the sentinel.
    pub tracked: bool,
}

/// The second tier: plain JSON text by key (S3).
pub trait ObjectStore: Send + Sync {
    /// The object; `None` is a definite absence.
    fn get<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>>;

    /// Writes the object.
    fn put<'a>(&'a self, key: &'a EntryKey, text: Bytes) -> BoxFuture<'a, Result<(), TierError>>;

    /// Deletes the object; absent is fine.
    fn delete<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<(), TierError>>;
}

/// Why a tier gave no answer. Never means "absent".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TierError {
    /// Cannot be reached, or its breaker is open.
    Unavailable(String),
    /// Answered too late.
    Timeout,
    /// Refused us: credentials or permissions.
    Denied(String),
    /// Anything else that it answered.
    Failed(String),
}

impl fmt::Display for TierError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(formatter, "unavailable: {detail}"),
            Self::Timeout => formatter.write_str("timed out"),
            Self::Denied(detail) => write!(formatter, "access denied: {detail}"),
            Self::Failed(detail) => write!(formatter, "failed: {detail}"),
        }
    }
}

impl std::error::Error for TierError {}
