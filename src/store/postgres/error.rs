//! Failures by class (`storage.md` 5.4), and what they mean to the ports.

use std::error::Error;
use std::fmt;
use std::io;

use tokio_postgres::error::SqlState;

use crate::context::{GatherError, TimeoutKind};
use crate::hypercache::DatabaseError;
use crate::resilience::BreakerOpen;

/// Why a database gave no answer.
#[derive(Debug)]
pub enum PostgresError {
    /// Not asked: it has failed repeatedly just now.
    Suspended(BreakerOpen),
    /// No connection became free in time.
    PoolTimeout,
    /// Too many wait for a connection already; refused at once.
    PoolCrowded,
    /// No connection can be made.
    Connect {
        /// In the library's words.
        detail: String,
        /// Of what the server or the network said.
        class: ErrorClass,
    },
    /// The server did not answer within the statement timeout and the margin for the way.
    AnswerTimeout,
    /// A connection that is past its time; met only inside the pool.
    Expired,
    /// The statement failed, or the connection below it.
    Statement(tokio_postgres::Error),
    /// A row cannot be read.
    Row(String),
}

/// What a failure calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Something took too long: another attempt would double the wait.
    Timeout(TimeoutKind),
    /// May pass.
    Transient,
    /// A row that was referred to is gone: reading again shows so.
    ForeignKey,
    /// Stays.
    Permanent,
}

impl ErrorClass {
    /// Label `error_type` of `flags_database_error_total`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Transient => "transient",
            Self::ForeignKey => "foreign_key",
            Self::Permanent => "unknown",
        }
    }
}

impl PostgresError {
    /// Which class; timeouts first, since 57014 would be transient by its prefix.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::PoolTimeout | Self::PoolCrowded => ErrorClass::Timeout(TimeoutKind::Pool),
            Self::AnswerTimeout => ErrorClass::Timeout(TimeoutKind::Io),
            Self::Suspended(_) | Self::Expired => ErrorClass::Transient,
            Self::Connect { class, .. } => *class,
            Self::Statement(error) => classify(error),
            Self::Row(_) => ErrorClass::Permanent,
        }
    }

    /// A failed attempt to connect.
    pub(super) fn connect(error: &tokio_postgres::Error) -> Self {
        Self::Connect {
            detail: detail(error),
            class: classify(error),
        }
    }
}

/// Class of what the client library reports.
fn classify(error: &tokio_postgres::Error) -> ErrorClass {
    if let Some(state) = error.code() {
        return classify_state(state);
    }
    if error.is_closed() {
        return ErrorClass::Transient;
    }
    let io = cause::<io::Error>(error);
    if io.is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
        return ErrorClass::Timeout(TimeoutKind::Io);
    }
    let text = detail(error).to_ascii_lowercase();
    if text.contains("timeout") {
        ErrorClass::Timeout(TimeoutKind::Protocol)
    } else if io.is_some()
        || ["connect", "communicating", "tls", "ssl"]
            .iter()
            .any(|word| text.contains(word))
    {
        ErrorClass::Transient
    } else {
        ErrorClass::Permanent
    }
}

fn classify_state(state: &SqlState) -> ErrorClass {
    match state.code() {
        "57014" => ErrorClass::Timeout(TimeoutKind::QueryCanceled),
        "55P03" => ErrorClass::Timeout(TimeoutKind::LockNotAvailable),
        "25P03" => ErrorClass::Timeout(TimeoutKind::IdleInTransaction),
        "23503" => ErrorClass::ForeignKey,
        "40001" | "40003" | "40P01" => ErrorClass::Transient,
        code if ["08", "53", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            ErrorClass::Transient
        }
        _ => ErrorClass::Permanent,
    }
}

/// Whether the connection, not the statement, is what failed: the library's own errors, after which nobody knows what
/// the server will say next, and what a server says that is
/// going away (57P01 to 57P05) or has lost the connection (08).
pub(super) fn is_connection_failure(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(state) => {
            state.code().starts_with("08") || state.code().starts_with("57P") || state.code() == "25P03"
        }
        None => true,
    }
}

/// Whether the server no longer knows a prepared statement, or not as it was: a new connection does.
pub(super) fn is_stale_statement(error: &tokio_postgres::Error) -> bool {
    matches!(error.code().map(SqlState::code), Some("0A000" | "26000"))
}

fn cause<E: Error + 'static>(error: &tokio_postgres::Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

/// The library's text with its cause, which alone says what happened.
fn detail(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl fmt::Display for PostgresError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspended(open) => open.fmt(formatter),
            Self::PoolTimeout => formatter.write_str("no connection became free in time"),
            Self::PoolCrowded => formatter.write_str("too many wait for a connection"),
            Self::Connect { detail, .. } => write!(formatter, "cannot connect: {detail}"),
            Self::AnswerTimeout => formatter.write_str("no answer in time"),
            Self::Expired => formatter.write_str("connection is past its time"),
            Self::Statement(error) => formatter.write_str(&detail(error)),
            Self::Row(detail) => write!(formatter, "unreadable row: {detail}"),
        }
    }
}

impl Error for PostgresError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Statement(error) => Some(error),
            Self::Suspended(open) => Some(open),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Statement(error)
    }
}

impl From<PostgresError> for GatherError {
    fn from(error: PostgresError) -> Self {
        match (&error, error.class()) {
            (PostgresError::Suspended(_), _) => Self::Refused(error.to_string()),
            (_, ErrorClass::Timeout(kind)) => Self::Timeout(kind),
            (PostgresError::Connect { .. } | PostgresError::Expired, _) => {
                Self::Unavailable(error.to_string())
            }
            (PostgresError::Statement(inner), _) if is_connection_failure(inner) => {
                Self::Unavailable(error.to_string())
            }
            (_, ErrorClass::Transient | ErrorClass::ForeignKey) => Self::Transient(error.to_string()),
            (_, ErrorClass::Permanent) => Self::Database(error.to_string()),
        }
    }
}

impl From<PostgresError> for DatabaseError {
    fn from(error: PostgresError) -> Self {
        if let PostgresError::Row(detail) = error {
            return Self::Corrupt(detail);
        }
        match GatherError::from(error) {
            GatherError::Unavailable(detail) | GatherError::Refused(detail) => Self::Unavailable(detail),
            GatherError::Timeout(_) => Self::Timeout,
            GatherError::Transient(detail) | GatherError::Database(detail) => Self::Failed(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_classes_of_the_table() {
        let cases = [
            ("57014", ErrorClass::Timeout(TimeoutKind::QueryCanceled)),
            ("55P03", ErrorClass::Timeout(TimeoutKind::LockNotAvailable)),
            ("25P03", ErrorClass::Timeout(TimeoutKind::IdleInTransaction)),
            ("08006", ErrorClass::Transient),
            ("53300", ErrorClass::Transient),
            ("57P01", ErrorClass::Transient),
            ("58030", ErrorClass::Transient),
            ("40001", ErrorClass::Transient),
            ("40003", ErrorClass::Transient),
            ("40P01", ErrorClass::Transient),
            ("23503", ErrorClass::ForeignKey),
            ("23505", ErrorClass::Permanent),
            ("22001", ErrorClass::Permanent),
            ("42P01", ErrorClass::Permanent),
            ("40002", ErrorClass::Permanent),
        ];
        for (code, class) in cases {
            assert_eq!(classify_state(&SqlState::from_code(code)), class, "{code}");
        }
    }

    #[test]
    fn timeouts_keep_their_names() {
        let crowded = GatherError::from(PostgresError::PoolCrowded);
        assert_eq!(crowded, GatherError::Timeout(TimeoutKind::Pool));
        assert_eq!(
            DatabaseError::from(PostgresError::AnswerTimeout),
            DatabaseError::Timeout
        );
        let open = PostgresError::Suspended(BreakerOpen { source: "persons" });
        assert!(!GatherError::from(open).is_retryable());
    }
}
