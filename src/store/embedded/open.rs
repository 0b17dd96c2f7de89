//! Opening the file: checks, settings and schema of every connection.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// The tables, step by step: a file of version `n`, kept in `user_version`, has had the first `n`. A change of the tables is a
/// step of its own at the end, so that files of older versions get it too.
const STEPS: [&str; 2] = [include_str!("schema.sql"), include_str!("usage.sql")];

/// What this program knows.
pub(super) const SCHEMA_VERSION: i64 = STEPS.len() as i64;

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
    let failed = |source| classify(path, source);
    let mut connection = open_file(path).map_err(failed)?;
    // Before any setting: some of them are written into the file, which may not be ours.
    check_owner(&connection, path)?;
    configure(&connection).map_err(failed)?;
    create_tables(&mut connection).map_err(failed)?;
    Ok(connection)
}

/// Another connection to a file that `create` has checked.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_file(path)?;
    configure(&connection)?;
    Ok(connection)
}

fn open_file(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    // With a write-ahead log this loses at most the last transactions on power failure, never the file.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(())
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
        // The error names the file that was tried; its kind alone says what is wrong with the directory.
        Err(error) => Err(OpenError::Directory {
            path: path.to_owned(),
            source: error.kind().into(),
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

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| {
        row.get(0)
    })
}

fn check_owner(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| classify(path, source);
    // One statement each, in this order: tables and marks appear together, so a file that is empty
    // first and ours a moment later passes.
    let empty = is_empty(connection).map_err(failed)?;
    let version = pragma(connection, "user_version").map_err(failed)?;
    if !empty && pragma(connection, "application_id").map_err(failed)? != APPLICATION_ID {
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

/// Immediate, so that of two processes that start together one makes the tables and the other waits.
fn create_tables(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = if is_empty(&transaction)? {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        0
    } else {
        pragma(&transaction, "user_version")?
    };
    if version < SCHEMA_VERSION {
        let missing = STEPS.iter().skip(usize::try_from(version).unwrap_or(0));
        missing
            .into_iter()
            .try_for_each(|step| transaction.execute_batch(step))?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    transaction.commit()
}
