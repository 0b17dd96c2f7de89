//! Reads an entry: first tier, then second (`storage.md` 2.8), with read repair (2.10).
//!
//! It says where a value came from and why the first tier had none; what a miss means is the caller's decision.

mod metrics;
mod repair;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::value::{self, Compression, DECOMPRESSED_BYTES_MAX, Stored, ValueError};
use super::{EntryCache, EntryKey, ObjectStore, TierError};
use metrics::ReaderMetrics;
use repair::Repairs;

/// Bounds of one reader.
#[derive(Debug, Clone, Copy)]
pub struct ReaderLimits {
    /// Whole first step, replica and primary together.
    pub cache: Duration,
    /// Whole second step.
    pub objects: Duration,
    /// Ceiling on a decompressed value and on an object.
    pub bytes_max: usize,
    /// Lifetime of a repaired entry; zero: nothing is repaired (`HYPERCACHE_READ_REPAIR_TTL_SECONDS`).
    pub repair_ttl: Duration,
    /// Repairs under way; more are skipped.
    pub repairs_max: usize,
    /// `SKIP_WRITES`: nothing is repaired.
    pub skip_writes: bool,
    /// How repaired values are stored.
    pub compression: Compression,
}

impl Default for ReaderLimits {
    fn default() -> Self {
        Self {
            cache: Duration::from_millis(500),
            objects: Duration::from_secs(3),
            bytes_max: DECOMPRESSED_BYTES_MAX,
            repair_ttl: Duration::from_secs(600),
            repairs_max: 16,
            skip_writes: false,
            compression: Compression::Zstd,
        }
    }
}

/// Which tier answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The first: Redis.
    Redis,
    /// The second: S3.
    S3,
}

/// Why the first tier had no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisFailure {
    /// It said so; the only case that is repaired.
    Absent,
    /// It gave no answer.
    Tier(TierError),
    /// Its value cannot be read.
    Corrupt(ValueError),
    /// Its text is not what the entry should hold.
    Unusable,
}

/// Why the second tier had no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectFailure {
    /// It said so.
    Absent,
    /// It gave no answer.
    Tier(TierError),
    /// Not UTF-8.
    Corrupt,
    /// Longer than the ceiling.
    TooLarge(usize),
}

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The sentinel.
    Missing,
    /// The JSON text, which nobody has parsed yet.
    Text(String),
    /// The stored bytes are those that the caller knows; they were neither decompressed nor copied.
    Unchanged,
}

/// A hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What was found.
    pub content: Content,
    /// Where.
    pub source: Source,
    /// Hash of the stored bytes and their source, to be handed in with the next read. Means nothing in another process.
    pub tag: u64,
    /// Set when the second tier answered: why the first did not.
    pub redis: Option<RedisFailure>,
}

/// Neither tier had a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// Why not the first.
    pub redis: RedisFailure,
    /// Why not the second.
    pub objects: ObjectFailure,
}

impl Miss {
    /// Both tiers said that there is nothing: a cache miss, not a failure.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        self.redis == RedisFailure::Absent && self.objects == ObjectFailure::Absent
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.redis {
            RedisFailure::Absent => formatter.write_str("redis: absent")?,
            RedisFailure::Tier(error) => write!(formatter, "redis: {error}")?,
            RedisFailure::Corrupt(error) => write!(formatter, "redis: {error}")?,
            RedisFailure::Unusable => formatter.write_str("redis: not this entry")?,
        }
        match &self.objects {
            ObjectFailure::Absent => formatter.write_str("; s3: absent"),
            ObjectFailure::Tier(error) => write!(formatter, "; s3: {error}"),
            ObjectFailure::Corrupt => formatter.write_str("; s3: not UTF-8"),
            ObjectFailure::TooLarge(limit) => write!(formatter, "; s3: more than {limit} bytes"),
        }
    }
}

impl std::error::Error for Miss {}

/// Reads entries over two tiers. Share it behind an `Arc`; readers of one process share its hash key.
pub struct HyperCacheReader {
    cache: Arc<dyn EntryCache>,
    objects: Arc<dyn ObjectStore>,
    limits: ReaderLimits,
    hasher: ahash::RandomState,
    repairs: Repairs,
    metrics: ReaderMetrics,
}

impl HyperCacheReader {
    /// A reader over the two tiers.
    #[must_use]
    pub fn new(cache: Arc<dyn EntryCache>, objects: Arc<dyn ObjectStore>, limits: ReaderLimits) -> Self {
        Self {
            repairs: Repairs::new(Arc::clone(&cache), &limits),
            cache,
            objects,
            limits,
            hasher: ahash::RandomState::new(),
            metrics: ReaderMetrics::default(),
        }
    }

    /// The entry; `known` is the tag of what the caller already has.
    ///
    /// # Errors
    /// When neither tier has a readable value in time.
    pub async fn read(&self, key: &EntryKey, known: Option<u64>) -> Result<Hit, Miss> {
        let outcome = self.read_tiers(key, known).await;
        self.metrics.count(key.entry(), &outcome);
        outcome
    }

    async fn read_tiers(&self, key: &EntryKey, known: Option<u64>) -> Result<Hit, Miss> {
        let redis = match self.read_cache(key, known).await {
            Ok(hit) => return Ok(hit),
            Err(failure) => failure,
        };
        match self.read_objects(key, known, &redis).await {
            Ok((content, tag)) => Ok(Hit {
                content,
                source: Source::S3,
                tag,
                redis: Some(redis),
            }),
            Err(objects) => Err(Miss { redis, objects }),
        }
    }

    /// The entry from the second tier alone, for a value of the first that turned out to be unusable. Not repaired.
    ///
    /// # Errors
    /// When the second tier has no value in time.
    pub async fn read_object(&self, key: &EntryKey, known: Option<u64>) -> Result<Hit, Miss> {
        let redis = RedisFailure::Unusable;
        match self.read_objects(key, known, &redis).await {
            Ok((content, tag)) => Ok(Hit {
                content,
                source: Source::S3,
                tag,
                redis: Some(redis),
            }),
            Err(objects) => Err(Miss { redis, objects }),
        }
    }

    /// The ETag beside the payload in the first tier; absent, unreadable and late all mean that there is none (2.6).
    pub async fn read_etag(&self, key: &EntryKey) -> Option<String> {
        let stored = timeout(self.limits.cache, self.cache.get_etag(key)).await;
        let stored = stored.ok()?.ok()??;
        self.etag(&stored)
    }

    /// The entry of the first tier alone, with the ETag that belongs to it (2.6).
    ///
    /// # Errors
    /// Why it has none; [`Self::read_below`] is the step after that.
    pub async fn read_with_etag(
        &self,
        key: &EntryKey,
        known: Option<u64>,
    ) -> Result<(Hit, Option<String>), RedisFailure> {
        let pair = match timeout(self.limits.cache, self.cache.get_both(key)).await {
            Err(_) => return Err(RedisFailure::Tier(TierError::Timeout)),
            Ok(pair) => pair.map_err(RedisFailure::Tier)?,
        };
        let hit = self.stored(pair.payload, known)?;
        Ok((hit, pair.etag.and_then(|stored| self.etag(&stored))))
    }

    /// The entry from the second tier, after the first failed in this way.
    ///
    /// # Errors
    /// When the second tier has no value in time.
    pub async fn read_below(&self, key: &EntryKey, redis: RedisFailure) -> Result<Hit, Miss> {
        match self.read_objects(key, None, &redis).await {
            Ok((content, tag)) => Ok(Hit {
                content,
                source: Source::S3,
                tag,
                redis: Some(redis),
            }),
            Err(objects) => Err(Miss { redis, objects }),
        }
    }

    /// Empty and unreadable mean that there is none (2.6).
    fn etag(&self, stored: &Bytes) -> Option<String> {
        match value::decode(stored, self.limits.bytes_max) {
            Ok(Stored::Text(etag)) if !etag.is_empty() => Some(etag.into_owned()),
            _ => None,
        }
    }

    async fn read_cache(&self, key: &EntryKey, known: Option<u64>) -> Result<Hit, RedisFailure> {
        match timeout(self.limits.cache, self.cache.get(key)).await {
            Err(_) => Err(RedisFailure::Tier(TierError::Timeout)),
            Ok(Err(error)) => Err(RedisFailure::Tier(error)),
            Ok(Ok(stored)) => self.stored(stored, known),
        }
    }

    /// What a stored value says.
    fn stored(&self, stored: Option<Bytes>, known: Option<u64>) -> Result<Hit, RedisFailure> {
        let stored = stored.filter(|stored| !stored.is_empty());
        let stored = stored.ok_or(RedisFailure::Absent)?;
        let tag = self.tag(Source::Redis, &stored);
        let content = if known == Some(tag) {
            Content::Unchanged
        } else {
            match value::decode(&stored, self.limits.bytes_max).map_err(RedisFailure::Corrupt)? {
                Stored::Missing => Content::Missing,
                Stored::Text(text) => Content::Text(text.into_owned()),
            }
        };
        Ok(Hit {
            content,
            source: Source::Redis,
            tag,
            redis: None,
        })
    }

    async fn read_objects(
        &self,
        key: &EntryKey,
        known: Option<u64>,
        redis: &RedisFailure,
    ) -> Result<(Content, u64), ObjectFailure> {
        let object = match timeout(self.limits.objects, self.objects.get(key)).await {
            Err(_) => return Err(ObjectFailure::Tier(TierError::Timeout)),
            Ok(Err(error)) => return Err(ObjectFailure::Tier(error)),
            Ok(Ok(object)) => object.ok_or(ObjectFailure::Absent)?,
        };
        if object.len() > self.limits.bytes_max {
            return Err(ObjectFailure::TooLarge(self.limits.bytes_max));
        }
        let text = std::str::from_utf8(&object).map_err(|_| ObjectFailure::Corrupt)?;
        let tag = self.tag(Source::S3, &object);
        let content = if known == Some(tag) {
            Content::Unchanged
        } else {
            Content::Text(text.to_owned())
        };
        if *redis == RedisFailure::Absent {
            self.repairs.start(key, &object);
        }
        Ok((content, tag))
    }

    fn tag(&self, source: Source, stored: &Bytes) -> u64 {
        self.hasher.hash_one((source == Source::S3, stored.as_ref()))
    }
}
