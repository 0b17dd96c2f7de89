//! The wall clock of requests.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::engine::Instant;

/// Where requests get their time from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clock {
    /// The system's clock. Before 1970 counts as 1970.
    #[default]
    System,
    /// Always this instant, so that answers to relative dates can be reproduced.
    Fixed(Instant),
}

impl Clock {
    pub(super) fn now(self) -> Instant {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Instant {
                    seconds: since.as_secs().cast_signed(),
                    nanos: since.subsec_nanos(),
                }
            }
            Self::Fixed(instant) => instant,
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn milliseconds(at: Instant) -> i64 {
    at.seconds * 1_000 + i64::from(at.nanos / 1_000_000)
}
