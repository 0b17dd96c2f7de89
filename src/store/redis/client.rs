//! A primary and its replica as one client (`storage.md` 6.2): which of the two is asked, and when the other one is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redis::{Cmd, FromRedisValue, Pipeline};

use super::{Endpoint, EndpointSettings, RedisError, ServerUrl};
use crate::resilience::RetryBudget;

/// URLs of a primary and, if there is one, its replica.
#[derive(Debug, Clone)]
pub struct ClientUrls {
    /// Takes writes.
    pub writer: ServerUrl,
    /// Takes reads; `None`: the writer does.
    pub reader: Option<ServerUrl>,
}

/// A reader URL is set and its writer URL is not: a warning, and both count as unset (`storage.md` 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderWithoutWriter;

impl std::fmt::Display for ReaderWithoutWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a Redis reader URL without its writer URL is not used")
    }
}

impl std::error::Error for ReaderWithoutWriter {}

impl ClientUrls {
    /// Reads a pair of settings. The inner `Err` is the warning about a reader alone; equal URLs are one server.
    ///
    /// # Errors
    /// `Denied` for what is no URL.
    pub fn parse(
        writer: Option<&str>,
        reader: Option<&str>,
    ) -> Result<Result<Option<Self>, ReaderWithoutWriter>, RedisError> {
        let Some(writer) = writer else {
            return Ok(match reader {
                Some(_) => Err(ReaderWithoutWriter),
                None => Ok(None),
            });
        };
        let reader = reader.filter(|reader| *reader != writer);
        Ok(Ok(Some(Self {
            writer: ServerUrl::parse(writer)?,
            reader: reader.map(ServerUrl::parse).transpose()?,
        })))
    }
}

/// Names of a client's servers in metrics and logs.
#[derive(Debug, Clone, Copy)]
pub struct ClientNames {
    /// Of the primary.
    pub writer: &'static str,
    /// Of the replica.
    pub reader: &'static str,
}

/// Names of the shared Redis.
pub const SHARED: ClientNames = ClientNames {
    writer: "redis",
    reader: "redis_reader",
};

/// Names of the dedicated Redis.
pub const DEDICATED: ClientNames = ClientNames {
    writer: "flags_redis",
    reader: "flags_redis_reader",
};

/// Names of the Redis for cookieless identities.
pub const COOKIELESS: ClientNames = ClientNames {
    writer: "cookieless_redis",
    reader: "cookieless_redis_reader",
};

/// A primary and its replica.
#[derive(Debug)]
pub struct Client {
    writer: Endpoint,
    reader: Option<Endpoint>,
    budget: Arc<RetryBudget>,
    second_attempts: AtomicU64,
}

impl Client {
    /// Starts connecting to both. Needs a tokio runtime.
    #[must_use]
    pub fn start(
        names: ClientNames,
        urls: ClientUrls,
        settings: EndpointSettings,
        budget: Arc<RetryBudget>,
    ) -> Self {
        Self {
            writer: Endpoint::start(names.writer, urls.writer, settings),
            reader: urls
                .reader
                .map(|url| Endpoint::start(names.reader, url, settings)),
            budget,
            second_attempts: AtomicU64::new(0),
        }
    }

    /// The primary.
    #[must_use]
    pub fn writer(&self) -> &Endpoint {
        &self.writer
    }

    /// The server that reads go to.
    #[must_use]
    pub fn reader(&self) -> &Endpoint {
        self.reader.as_ref().unwrap_or(&self.writer)
    }

    /// Its servers: one or two.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.writer).chain(&self.reader)
    }

    /// Reads that were repeated on the primary since the start.
    #[must_use]
    pub fn second_attempts(&self) -> u64 {
        self.second_attempts.load(Ordering::Relaxed)
    }

    /// A command that only reads.
    ///
    /// # Errors
    /// When neither server gave a reply, or the first one's error is final; at the latest after two response time limits.
    pub async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        self.budget.earn();
        match self.reader().query(command).await {
            Err(error) if self.may_repeat(&error) => self.writer.query(command).await,
            reply => reply,
        }
    }

    /// Commands that only read, answered together.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn read_together<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, RedisError> {
        self.budget.earn();
        match self.reader().pipeline(pipeline).await {
            Err(error) if self.may_repeat(&error) => self.writer.pipeline(pipeline).await,
            reply => reply,
        }
    }

    /// A command for the primary, tried once.
    ///
    /// # Errors
    /// When it gave no reply; a write may have happened all the same.
    pub async fn write<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        self.writer.query(command).await
    }

    /// A transaction on the primary, tried once.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub async fn transaction<T: FromRedisValue>(&self, pipeline: &mut Pipeline) -> Result<T, RedisError> {
        self.writer.pipeline(pipeline.atomic()).await
    }

    fn may_repeat(&self, error: &RedisError) -> bool {
        let repeat = self.reader.is_some() && error.is_recoverable() && self.budget.spend();
        if repeat {
            self.second_attempts.fetch_add(1, Ordering::Relaxed);
        }
        repeat
    }
}
