//! Which database answers what (`storage.md` 5.1, 5.2).

use std::fmt;
use std::sync::Arc;

use super::pool::{Pool, PoolSettings};
use super::tls::TlsError;

/// Settings of the four pools.
#[derive(Debug, Clone)]
pub struct PoolsSettings {
    /// `READ_DATABASE_URL`.
    pub non_persons_reader: PoolSettings,
    /// `WRITE_DATABASE_URL`.
    pub non_persons_writer: PoolSettings,
    /// `PERSONS_READ_DATABASE_URL` and `PERSONS_WRITE_DATABASE_URL`, reader first; `None`: persons are in the main database.
    pub persons: Option<(PoolSettings, PoolSettings)>,
}

/// The four pools. Without a persons database its pools are the main ones, the same objects.
#[derive(Debug, Clone)]
pub struct Pools {
    /// Teams, flags, cohorts, keys.
    pub non_persons_reader: Arc<Pool>,
    /// When keys were last used.
    pub non_persons_writer: Arc<Pool>,
    /// Persons, groups, static membership, continuity rows, group types.
    pub persons_reader: Arc<Pool>,
    /// Continuity rows.
    pub persons_writer: Arc<Pool>,
}

/// A pool that cannot be opened. Databases that are away are no reason: they are asked when they are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenError {
    /// Which pool.
    pub pool: &'static str,
    /// Why.
    pub cause: TlsError,
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "pool {}: {}", self.pool, self.cause)
    }
}

impl std::error::Error for OpenError {}

impl Pools {
    /// Opens them. Inside a tokio runtime.
    ///
    /// # Errors
    /// When certificate authorities that a URL names cannot be read.
    pub fn open(settings: PoolsSettings) -> Result<Self, OpenError> {
        let open =
            |name, settings| Pool::open(name, settings).map_err(|cause| OpenError { pool: name, cause });
        let non_persons_reader = open("non_persons_reader", settings.non_persons_reader)?;
        let non_persons_writer = open("non_persons_writer", settings.non_persons_writer)?;
        let (persons_reader, persons_writer) = match settings.persons {
            Some((reader, writer)) => (open("persons_reader", reader)?, open("persons_writer", writer)?),
            None => (Arc::clone(&non_persons_reader), Arc::clone(&non_persons_writer)),
        };
        Ok(Self {
            non_persons_reader,
            non_persons_writer,
            persons_reader,
            persons_writer,
        })
    }

    /// Each pool once, for monitors and for readiness.
    pub fn distinct(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let separate = !Arc::ptr_eq(&self.persons_reader, &self.non_persons_reader);
        let persons = [&self.persons_reader, &self.persons_writer];
        [&self.non_persons_reader, &self.non_persons_writer]
            .into_iter()
            .chain(persons.into_iter().filter(move |_| separate))
    }
}
