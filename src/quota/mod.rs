//! Billing: which projects are over a limit, and how much each project uses (`storage.md` 6.5, 6.6, 11).
//!
//! Requests ask [`Quota`], which is memory alone. Two background tasks join it to a store behind a port: one reads the
//! limits now and then, one writes the counts. What a limit does to an answer is `http`'s to know.

mod counter;
mod flush;
mod flush_metrics;
mod key;
mod library;
mod limits;
mod notice;
mod port;
mod refresh;
mod tasks;
mod usage;

use std::sync::Arc;

pub use crate::definition::billable_key;
pub use flush::UsageLeft;
pub use key::{Bucket, RequestType, UsageKey};
pub use library::Library;
pub use limits::{Limits, Resource, TokenSet};
pub use notice::Notice;
pub use port::{Applied, ApplyError, Batch, DOUBT_MAX, Increment, LimitSource, Limited, UsageSink};
pub use tasks::{Tasks, TasksSettings};
pub use usage::Usage;

/// Tells the operator.
pub type Say = Arc<dyn Fn(&Notice) + Send + Sync>;

/// What requests know of billing.
#[derive(Debug)]
pub struct Quota {
    /// Who is over a limit.
    pub limits: Limits,
    /// Who used how much.
    pub usage: Usage,
}

impl Quota {
    /// Nobody limited, nothing used. `pending_entries_max`: `FLAGS_BILLING_MAX_PENDING_ENTRIES`. `counts`: false under `SKIP_WRITES`.
    #[must_use]
    pub fn new(pending_entries_max: usize, counts: bool) -> Self {
        Self {
            limits: Limits::default(),
            usage: Usage::new(pending_entries_max, counts),
        }
    }

    /// Whether a project token is over a limit. No lock, no allocation.
    #[must_use]
    pub fn is_limited(&self, resource: Resource, token: &str) -> bool {
        self.limits.is_limited(resource, token)
    }

    /// Counts one request; `now_seconds` since 1970. No lock and no allocation for a key that was counted lately.
    pub fn record(&self, request: RequestType, team_id: i32, library: Library, now_seconds: i64) {
        self.usage.record(request, team_id, library, now_seconds);
    }
}
