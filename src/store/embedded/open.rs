//! Opening the file: checks, settings and schema of every connection.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// Version of `schema.sql`, kept in `user_version`. Raise it with every change of the tables.
pub(super) const SCHEMA_VERSION: i64 = 1;

/// Marks the file as ours ("ffst"), so that a stranger's database is never written to.
const APPLICATION_ID: i64 = 0x6666_7374;

/// How long a statement waits for another writer. An import of hundreds of projects holds the lock
/// for about a second; a request gives up far earlier by its own deadline.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements kept prepared on a connection; all of ours are fewer.
const STATEMENT_CACHE: usize = 64;

/// Why a store could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The directory of the file is absent or may not be written.
    Directory {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not an SQLite database.
    NotADatabase(PathBuf),
    /// An SQLite database that another program made.
    Foreign(PathBuf),
    /// A newer version of this program made the file.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// Anything else that SQLite reports.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, source } => {
                write!(
                    formatter,
                    "store {}: its directory cannot be written: {source}",
                    path.display()
                )
            }
            Self::NotADatabase(path) => write!(formatter, "store {}: not an SQLite database", path.display()),
            Self::Foreign(path) => {
                write!(
                    formatter,
                    "store {}: an SQLite database of another program",
                    path.display()
                )
            }
            Self::Newer { path, found } => write!(
                formatter,
                "store {}: made by a newer version (schema {found}, this program knows {SCHEMA_VERSION})",
                path.display()
            ),
            Self::Sqlite { path, source } => write!(formatter, "store {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Directory { source, .. } => Some(source),
            Self::Sqlite { source, .. } => Some(source),
            Self::NotADatabase(_) | Self::Foreign(_) | Self::Newer { .. } => None,
        }
    }
}

/// Makes or checks the file, and returns a first connection to it.
pub(super) fn create(path: &Path) -> Result<Connection, OpenError> {
    check_directory(path)?;
    let mut connection = connect(path).map_err(|source| classify(path, source))?;
    prepare_schema(&mut connection, path)?;
    Ok(connection)
}

/// Another connection to a file that `create` has checked.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // With a write-ahead log this loses at most the last transactions on power failure, never the file.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(connection)
}

/// SQLite needs to make files beside its own; its own message for that does not say so.
fn check_directory(path: &Path) -> Result<(), OpenError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match tempfile::Builder::new()
        .prefix(".store-check")
        .tempfile_in(directory)
    {
        Ok(_) => Ok(()),
        Err(source) => Err(OpenError::Directory {
            path: path.to_owned(),
            source,
        }),
    }
}

fn classify(path: &Path, source: rusqlite::Error) -> OpenError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path.to_owned()),
        _ => OpenError::Sqlite {
            path: path.to_owned(),
            source,
        },
    }
}

fn prepare_schema(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| classify(path, source);
    // Immediate, so that of two processes that start together one makes the tables and the other waits.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let pragma = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let version = pragma("user_version").map_err(failed)?;
    let application_id = pragma("application_id").map_err(failed)?;
    let tables: i64 = transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    if tables == 0 {
        transaction
            .execute_batch(include_str!("schema.sql"))
            .map_err(failed)?;
        transaction
            .pragma_update(None, "user_version", SCHEMA_VERSION)
            .map_err(failed)?;
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(failed)?;
        return transaction.commit().map_err(failed);
    }
    if application_id != APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    if version > SCHEMA_VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: version,
        });
    }
    Ok(())
}
