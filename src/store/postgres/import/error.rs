//! Why PostgreSQL refused or failed, in words for whoever typed the command.
//!
//! Messages name host and database, table and constraint; never a password. What the server calls the
//! detail of an error is left out: it quotes rows, among whose values are secrets.

use std::error::Error;
use std::fmt;

use tokio_postgres::error::SqlState;

use crate::store::postgres::{TlsError, UrlError};

/// An error of the client library, whose message is that of the server.
#[derive(Debug)]
pub struct PostgresFailure(pub(super) tokio_postgres::Error);

impl fmt::Display for PostgresFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_db_error(), self.0.source()) {
            (Some(error), _) => formatter.write_str(error.message()),
            (None, Some(source)) => write!(formatter, "{source}"),
            (None, None) => write!(formatter, "{}", self.0),
        }
    }
}

impl Error for PostgresFailure {}

/// What went wrong in an import. Nothing was imported, but for `PersonsNotCommitted`, and perhaps for
/// `CommitUnknown`.
#[derive(Debug)]
pub enum ImportFailure {
    /// A URL cannot be read.
    Address(UrlError),
    /// What its `sslmode` asks for cannot be had.
    Certificates(TlsError),
    /// No connection.
    Unreachable {
        /// Host, port and database.
        place: String,
        /// `None`: no answer in time.
        source: Option<PostgresFailure>,
    },
    /// Another import, or a lock of somebody else, did not end in time.
    Busy {
        /// Host, port and database.
        place: String,
    },
    /// A row that is not of the imported projects already has a value that must be unique.
    Taken {
        /// Host, port and database.
        place: String,
        /// Table.
        table: String,
        /// Unique constraint or index.
        constraint: String,
    },
    /// A row that the import removes is still referred to, or one that it refers to is gone.
    Referred {
        /// Host, port and database.
        place: String,
        /// Table of the reference.
        table: String,
        /// Foreign key.
        constraint: String,
    },
    /// A value that the column does not take: too long, out of range, or with a NUL character.
    Value {
        /// Host, port and database.
        place: String,
        /// What the server said.
        source: PostgresFailure,
    },
    /// A table or column is absent, or may not be written.
    Layout {
        /// Host, port and database.
        place: String,
        /// What the server said.
        source: PostgresFailure,
    },
    /// Anything else, a lost connection among it.
    Failed {
        /// Host, port and database.
        place: String,
        /// What the server said.
        source: PostgresFailure,
    },
    /// Definitions are committed, persons are not; the same import again completes it.
    PersonsNotCommitted {
        /// Host, port and database.
        place: String,
        /// What the server said.
        source: PostgresFailure,
    },
    /// The connection ended while definitions were being committed: they may be there or not. Persons are
    /// not. The same import again completes it.
    CommitUnknown {
        /// Host, port and database.
        place: String,
        /// What is known of the end.
        source: PostgresFailure,
    },
    /// The work ended without a result.
    Ended,
}

impl ImportFailure {
    /// Sorts an error of the first commit: the server either refused it, or was not heard of any more.
    pub(super) fn of_commit(place: &str, source: tokio_postgres::Error) -> Self {
        if source.as_db_error().is_some_and(|error| {
            let class = error.code().code().get(..2);
            // Operator intervention and connection trouble may come after the commit was made.
            class != Some("57") && class != Some("08")
        }) {
            return Self::of(place, source);
        }
        Self::CommitUnknown {
            place: place.to_owned(),
            source: PostgresFailure(source),
        }
    }

    /// Sorts an error of a statement.
    pub(super) fn of(place: &str, source: tokio_postgres::Error) -> Self {
        let place = place.to_owned();
        let Some(code) = source.code().cloned() else {
            return Self::Failed {
                place,
                source: PostgresFailure(source),
            };
        };
        let named = |name: Option<&str>| name.unwrap_or("(unnamed)").to_owned();
        let database = source.as_db_error();
        let table = named(database.and_then(|error| error.table()));
        let constraint = named(database.and_then(|error| error.constraint()));
        let (lock, query) = (&SqlState::LOCK_NOT_AVAILABLE, &SqlState::QUERY_CANCELED);
        if &code == lock || &code == query || code == SqlState::T_R_DEADLOCK_DETECTED {
            Self::Busy { place }
        } else if code == SqlState::UNIQUE_VIOLATION {
            Self::Taken {
                place,
                table,
                constraint,
            }
        } else if code == SqlState::FOREIGN_KEY_VIOLATION {
            Self::Referred {
                place,
                table,
                constraint,
            }
        } else {
            let class = code.code().get(..2).unwrap_or_default();
            let source = PostgresFailure(source);
            match class {
                // Data exceptions; the other constraints.
                "22" | "23" => Self::Value { place, source },
                // Syntax error or access rule violation: undefined tables and columns, missing rights.
                "42" => Self::Layout { place, source },
                _ => Self::Failed { place, source },
            }
        }
    }
}

impl fmt::Display for ImportFailure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nothing = "nothing was imported";
        match self {
            Self::Address(error) => write!(to, "a database URL is not one of PostgreSQL: {error}; {nothing}"),
            Self::Certificates(error) => write!(to, "{error}; {nothing}"),
            Self::Unreachable { place, source: None } => {
                write!(to, "PostgreSQL at {place}: no connection in time; {nothing}")
            }
            Self::Unreachable {
                place,
                source: Some(source),
            } => write!(to, "PostgreSQL at {place}: no connection: {source}; {nothing}"),
            Self::Busy { place } => write!(
                to,
                "PostgreSQL at {place}: locked by another import or program; {nothing}"
            ),
            Self::Taken {
                place,
                table,
                constraint,
            } => write!(
                to,
                "PostgreSQL at {place}: another row of {table} has the same value ({constraint}); {nothing}"
            ),
            Self::Referred {
                place,
                table,
                constraint,
            } => write!(
                to,
                "PostgreSQL at {place}: a row of {table} refers to one that is not there ({constraint}); {nothing}"
            ),
            Self::Value { place, source } => {
                write!(
                    to,
                    "PostgreSQL at {place}: a value is refused: {source}; {nothing}"
                )
            }
            Self::Layout { place, source } => {
                write!(
                    to,
                    "PostgreSQL at {place}: not the tables that are needed: {source}; {nothing}"
                )
            }
            Self::Failed { place, source } => write!(to, "PostgreSQL at {place}: {source}; {nothing}"),
            Self::PersonsNotCommitted { place, source } => write!(
                to,
                "PostgreSQL at {place}: {source}; definitions were imported, persons and groups were not: run the same import again"
            ),
            Self::CommitUnknown { place, source } => write!(
                to,
                "PostgreSQL at {place}: {source}; whether anything was imported is not known: run the same import again"
            ),
            Self::Ended => write!(to, "the import ended without a result"),
        }
    }
}

impl Error for ImportFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } => source.as_ref().map(|source| source as _),
            Self::Value { source, .. }
            | Self::Layout { source, .. }
            | Self::Failed { source, .. }
            | Self::PersonsNotCommitted { source, .. }
            | Self::CommitUnknown { source, .. } => Some(source),
            Self::Address(_)
            | Self::Certificates(_)
            | Self::Busy { .. }
            | Self::Taken { .. }
            | Self::Referred { .. }
            | Self::Ended => None,
        }
    }
}
