//! One entry as a load wants it: parsed, or known to be what it was.

use std::sync::Arc;
use std::time::Duration;

use super::port::{LoadError, Tier};
use crate::hypercache::parse::ParseError;
use crate::hypercache::reader::{Content, Hit, HyperCacheReader, Miss, RedisFailure, Source};
use crate::hypercache::{EntryKey, TierError};

/// A part of a project.
#[derive(Debug)]
pub(super) struct Part<T> {
    pub payload: Payload<T>,
    /// Identity of what it was read from.
    pub tag: u64,
    /// Came from a server that announces changes, absence included.
    pub tracked: bool,
    /// To be read again after this time in any case.
    pub recheck_after: Option<Duration>,
    /// Where it was read from.
    pub tier: Tier,
}

/// What a part says.
#[derive(Debug)]
pub(super) enum Payload<T> {
    /// What it said before.
    Unchanged,
    /// This.
    Value(T),
}

impl<T> Payload<T> {
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Unchanged => None,
            Self::Value(value) => Some(value),
        }
    }
}

impl<T: Default> Part<T> {
    /// A part that is not there.
    pub fn empty(tracked: bool) -> Self {
        Self {
            payload: Payload::Value(T::default()),
            tag: 0,
            tracked,
            recheck_after: None,
            tier: Tier::None,
        }
    }
}

impl<T> Part<T> {
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Part<U> {
        Part {
            payload: match self.payload {
                Payload::Unchanged => Payload::Unchanged,
                Payload::Value(value) => Payload::Value(to(value)),
            },
            tag: self.tag,
            tracked: self.tracked,
            recheck_after: self.recheck_after,
            tier: self.tier,
        }
    }
}

/// No tier has a readable value.
#[derive(Debug)]
pub(super) struct NoEntry {
    /// Both tiers said that there is nothing.
    pub is_definite: bool,
    /// The first tier said so, whatever became of the second.
    pub is_announced: bool,
    error: LoadError,
}

impl NoEntry {
    pub fn into_error(self) -> LoadError {
        self.error
    }
}

/// Reads and parses entries.
pub(super) struct TierReader(Arc<HyperCacheReader>);

impl TierReader {
    pub fn new(reader: Arc<HyperCacheReader>) -> Self {
        Self(reader)
    }

    /// For entries that are not parsed to be kept.
    pub fn reader(&self) -> &HyperCacheReader {
        &self.0
    }

    /// `Ok(None)` is the sentinel. A value of the first tier that does not parse counts as corrupt: the second is asked.
    pub async fn read<T>(
        &self,
        key: &EntryKey,
        known: Option<u64>,
        parse: impl Fn(&str) -> Result<T, ParseError>,
    ) -> Result<Option<Part<T>>, NoEntry> {
        let hit = self.0.read(key, known).await.map_err(no_entry)?;
        let from_redis = hit.source == Source::Redis;
        match parsed(hit, &parse) {
            Ok(part) => Ok(part),
            Err(error) if from_redis => {
                let below = self.0.read_object(key, known).await.map_err(no_entry)?;
                parsed(below, &parse).map_err(|_| unreadable(&error))
            }
            Err(error) => Err(unreadable(&error)),
        }
    }
}

fn parsed<T>(hit: Hit, parse: impl Fn(&str) -> Result<T, ParseError>) -> Result<Option<Part<T>>, ParseError> {
    let payload = match hit.content {
        Content::Missing => return Ok(None),
        Content::Unchanged => Payload::Unchanged,
        Content::Text(text) => Payload::Value(parse(&text)?),
    };
    Ok(Some(Part {
        payload,
        tag: hit.tag,
        tracked: hit.source == Source::Redis,
        recheck_after: None,
        tier: match hit.source {
            Source::Redis => Tier::Redis,
            Source::S3 => Tier::S3,
        },
    }))
}

fn unreadable(error: &ParseError) -> NoEntry {
    NoEntry {
        is_definite: false,
        is_announced: false,
        error: LoadError::CacheUnreadable(error.to_string()),
    }
}

fn no_entry(miss: Miss) -> NoEntry {
    let error = match &miss.redis {
        _ if miss.is_definite() => LoadError::NotCached,
        RedisFailure::Tier(TierError::Timeout) => LoadError::Timeout,
        RedisFailure::Corrupt(_) | RedisFailure::Unusable => LoadError::CacheUnreadable(miss.to_string()),
        _ => LoadError::Unavailable(miss.to_string()),
    };
    NoEntry {
        is_definite: miss.is_definite(),
        is_announced: miss.redis == RedisFailure::Absent,
        error,
    }
}
