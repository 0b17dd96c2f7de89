//! The location database: a MaxMind DB file of the City layout, opened once (`storage.md` 8).

mod map;
mod record;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{MaxMindDbError, Mmap, Reader};

use crate::context::geo::{GeoError, GeoProperties, GeoSource};
use record::Record;

/// Types of databases with the City layout, as parts of their names: `GeoLite2-City`, `GeoIP2-Enterprise`,
/// `GeoIP2-Precision-Insights`, `DBIP-City-Lite`.
const CITY_LIKE: [&str; 3] = ["city", "enterprise", "insights"];

/// An open database. Texts of its answers are borrowed from the file.
pub struct GeoDatabase<S: AsRef<[u8]> = Mmap>(Reader<S>);

/// Why a file is not used.
#[derive(Debug)]
pub enum GeoOpenError {
    /// It is not there.
    Absent,
    /// It cannot be opened or mapped.
    Io(io::Error),
    /// It is no MaxMind DB, or is damaged.
    Malformed(String),
    /// It is a MaxMind DB of something else.
    NotCity {
        /// What it says it is.
        database_type: String,
    },
}

impl GeoDatabase {
    /// Maps the file into memory. To bring a newer one, rename it over the old name and start again: a file
    /// that is written into while it is mapped takes the process with it.
    ///
    /// # Errors
    /// When the file is absent, cannot be mapped, or is no database of cities.
    pub fn open(path: &Path) -> Result<Self, GeoOpenError> {
        Self::checked(map::open(path).map_err(GeoOpenError::from)?)
    }
}

impl<S: AsRef<[u8]>> GeoDatabase<S> {
    /// Uses bytes that are in memory.
    ///
    /// # Errors
    /// When they are no database of cities.
    pub fn from_bytes(bytes: S) -> Result<Self, GeoOpenError> {
        Self::checked(Reader::from_source(bytes).map_err(GeoOpenError::from)?)
    }

    fn checked(reader: Reader<S>) -> Result<Self, GeoOpenError> {
        let database_type = &reader.metadata().database_type;
        let lower = database_type.to_lowercase();
        if CITY_LIKE.iter().any(|part| lower.contains(part)) {
            Ok(Self(reader))
        } else {
            Err(GeoOpenError::NotCity {
                database_type: database_type.clone(),
            })
        }
    }
}

impl<S: AsRef<[u8]> + Send + Sync> GeoSource for GeoDatabase<S> {
    fn lookup(&self, address: IpAddr) -> Result<Option<GeoProperties<'_>>, GeoError> {
        if address.is_ipv6() && self.0.metadata().ip_version == 4 {
            return Ok(None);
        }
        let found = self.0.lookup(address).map_err(|_| GeoError::Unreadable)?;
        let record: Option<Record<'_>> = found.decode().map_err(|_| GeoError::Unreadable)?;
        Ok(record.map(|record| record.properties()))
    }
}

impl From<MaxMindDbError> for GeoOpenError {
    fn from(error: MaxMindDbError) -> Self {
        match error {
            MaxMindDbError::Io(error) if error.kind() == io::ErrorKind::NotFound => Self::Absent,
            MaxMindDbError::Io(error) | MaxMindDbError::Mmap(error) => Self::Io(error),
            other => Self::Malformed(other.to_string()),
        }
    }
}

impl fmt::Display for GeoOpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => formatter.write_str("no such file"),
            Self::Io(error) => write!(formatter, "cannot be read: {error}"),
            Self::Malformed(what) => write!(formatter, "is no usable MaxMind DB: {what}"),
            Self::NotCity { database_type } => write!(
                formatter,
                "is a database of type {database_type:?}, not a City database"
            ),
        }
    }
}

impl std::error::Error for GeoOpenError {}

#[cfg(test)]
mod tests;
