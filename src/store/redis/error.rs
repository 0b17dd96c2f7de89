//! Why a Redis server gave no answer. Never means "not found".

use std::borrow::Cow;
use std::fmt;

use redis::{ErrorKind, ServerErrorKind};

use crate::hypercache::TierError;

/// A command without a usable reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisError {
    /// No connection, a connection that broke, an open breaker, or too many commands in flight. Borrowed text is of ours: the
    /// command was not sent.
    Unavailable(Cow<'static, str>),
    /// No reply within the limit.
    Timeout,
    /// Wrong credentials, missing permissions, or a URL that cannot be used.
    Denied(String),
    /// An error reply of a living server (`LOADING`, `WRONGTYPE`, `READONLY`, ...).
    Reply(String),
    /// A reply of another shape than the command has.
    Protocol(String),
}

impl RedisError {
    /// Whether another server may be asked instead (`storage.md` 6.2): not when the configuration is wrong.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Timeout | Self::Reply(_) => true,
            Self::Denied(_) | Self::Protocol(_) => false,
        }
    }

    /// Whether the command may have reached the server. What a connection without permissions was refused with counts as sent.
    pub(super) fn was_sent(&self) -> bool {
        !matches!(self, Self::Unavailable(Cow::Borrowed(_)))
    }

    /// Whether it speaks against the server: it did not answer.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout)
    }

    /// Sorts an error of a command or of an attempt to connect.
    pub(super) fn from_client(error: &redis::RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::RESP3NotSupported
            | ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Denied(error.to_string()),
            ErrorKind::Server(_) | ErrorKind::Extension => match error.code() {
                Some("WRONGPASS" | "NOAUTH" | "NOPERM") => Self::Denied(error.to_string()),
                _ => Self::Reply(error.to_string()),
            },
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType | ErrorKind::Client => {
                Self::Protocol(error.to_string())
            }
            _ => Self::Unavailable(Cow::Owned(error.to_string())),
        }
    }
}

impl fmt::Display for RedisError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(formatter, "unavailable: {detail}"),
            Self::Timeout => formatter.write_str("timed out"),
            Self::Denied(detail) => write!(formatter, "access denied: {detail}"),
            Self::Reply(detail) => write!(formatter, "error reply: {detail}"),
            Self::Protocol(detail) => write!(formatter, "unexpected reply: {detail}"),
        }
    }
}

impl std::error::Error for RedisError {}

impl From<RedisError> for TierError {
    fn from(error: RedisError) -> Self {
        match error {
            RedisError::Unavailable(detail) => Self::Unavailable(detail.into_owned()),
            RedisError::Timeout => Self::Timeout,
            RedisError::Denied(detail) => Self::Denied(detail),
            RedisError::Reply(detail) | RedisError::Protocol(detail) => Self::Failed(detail),
        }
    }
}
