//! The wall clock of requests.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::engine::Instant;

/// Now, for evaluation. Before 1970 counts as 1970.
pub(super) fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant {
        seconds: since.as_secs().cast_signed(),
        nanos: since.subsec_nanos(),
    }
}

/// Milliseconds since 1970.
pub(super) fn milliseconds(at: Instant) -> i64 {
    at.seconds * 1_000 + i64::from(at.nanos / 1_000_000)
}

/// Now in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    milliseconds(now())
}
