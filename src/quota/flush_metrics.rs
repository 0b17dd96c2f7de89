//! Metrics of usage counts, by upstream's names (`storage.md` 6.6) where it has any.

use std::time::Instant;

use super::port::Batch;

/// Handles, resolved once.
pub(super) struct FlushMetrics {
    /// Requests taken from the counters; rises with flushes, not with requests.
    pub records: metrics::Counter,
    /// Increments written.
    pub entries_flushed: metrics::Counter,
    /// Flushes that did not get through.
    pub errors: metrics::Counter,
    /// Requests whose counts the store refused for good.
    pub refused: metrics::Counter,
    /// Requests not written when the process ended.
    pub shutdown_dropped: metrics::Counter,
    /// Requests of which it is not known whether they were counted.
    pub uncertain: metrics::Counter,
    pending_entries: metrics::Gauge,
    pending_records: metrics::Gauge,
    since_success_seconds: metrics::Gauge,
    succeeded: Instant,
}

impl FlushMetrics {
    pub fn new() -> Self {
        let unflushed = |cause: &'static str| metrics::counter!("flags_billing_unflushed_requests_total", "cause" => cause);
        Self {
            records: metrics::counter!("flags_billing_records_total"),
            entries_flushed: metrics::counter!("flags_billing_entries_flushed_total"),
            errors: metrics::counter!("flags_billing_flush_errors_total"),
            refused: unflushed("redis_error"),
            shutdown_dropped: unflushed("shutdown_drop"),
            uncertain: metrics::counter!("feature_flags_usage_uncertain_requests_total"),
            pending_entries: metrics::gauge!("flags_billing_pending_entries"),
            pending_records: metrics::gauge!("flags_billing_pending_records"),
            since_success_seconds: metrics::gauge!("flags_billing_seconds_since_successful_flush"),
            succeeded: Instant::now(),
        }
    }

    /// Notes a flush that got through.
    pub fn succeeded(&mut self) {
        self.succeeded = Instant::now();
    }

    /// Shows what waits: keys and requests in counters, and a batch that is not settled.
    pub fn pending(&self, (mut entries, mut records): (usize, u64), unsettled: Option<&Batch>) {
        if let Some(batch) = unsettled {
            entries += batch.increments.len();
            records += batch.requests();
        }
        self.pending_entries.set(entries as f64);
        self.pending_records.set(records as f64);
        self.since_success_seconds
            .set(self.succeeded.elapsed().as_secs_f64());
    }
}
