//! What a pool counts (`storage.md` 5.9).

use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::error::{ErrorClass, PostgresError};
use super::pool::PoolStats;
use crate::context::TimeoutKind;

/// Every class of failure, in the order of its counters.
const CLASSES: [ErrorClass; 10] = [
    ErrorClass::Timeout(TimeoutKind::Pool),
    ErrorClass::Timeout(TimeoutKind::Io),
    ErrorClass::Timeout(TimeoutKind::Protocol),
    ErrorClass::Timeout(TimeoutKind::QueryCanceled),
    ErrorClass::Timeout(TimeoutKind::LockNotAvailable),
    ErrorClass::Timeout(TimeoutKind::IdleInTransaction),
    ErrorClass::Timeout(TimeoutKind::PersonsDeadline),
    ErrorClass::Transient,
    ErrorClass::ForeignKey,
    ErrorClass::Permanent,
];

/// Handles of one pool.
#[derive(Debug)]
pub(super) struct PoolMetrics {
    acquire_ms: Histogram,
    hold_ms: Histogram,
    acquire_timeouts: Counter,
    errors: [Counter; CLASSES.len()],
    size: Gauge,
    active: Gauge,
    idle: Gauge,
    max: Gauge,
    utilization: Gauge,
    created: Counter,
}

impl PoolMetrics {
    pub fn of(pool: &'static str) -> Self {
        Self {
            acquire_ms: histogram!("flags_db_connection_time", "pool" => pool),
            hold_ms: histogram!("flags_connection_hold_time_ms", "pool" => pool),
            acquire_timeouts: counter!("flags_acquire_timeout_total", "pool" => pool),
            errors: CLASSES.map(|class| {
                let timeout = match class {
                    ErrorClass::Timeout(kind) => kind.name(),
                    _ => "none",
                };
                counter!(
                    "flags_database_error_total",
                    "pool" => pool, "error_type" => class.name(), "timeout_type" => timeout
                )
            }),
            size: gauge!("flags_db_connection_pool_size", "pool" => pool),
            active: gauge!("flags_db_connection_pool_active_total", "pool" => pool),
            idle: gauge!("flags_db_connection_pool_idle_total", "pool" => pool),
            max: gauge!("flags_db_connection_pool_max_total", "pool" => pool),
            utilization: gauge!("flags_pool_utilization_ratio", "pool" => pool),
            created: counter!("db_connection_created_total", "pool" => pool),
        }
    }

    /// A connection was had after this time.
    pub fn acquired(&self, after: Duration) {
        self.acquire_ms.record(after.as_secs_f64() * 1_000.0);
    }

    /// A connection that was had then is given back.
    pub fn released(&self, since: Instant) {
        self.hold_ms.record(since.elapsed().as_secs_f64() * 1_000.0);
    }

    /// Something failed, once a failure.
    pub fn failed(&self, error: &PostgresError) {
        if matches!(error, PostgresError::PoolTimeout | PostgresError::PoolCrowded) {
            self.acquire_timeouts.increment(1);
        }
        let class = error.class();
        if let Some(at) = CLASSES.iter().position(|known| *known == class) {
            self.errors[at].increment(1);
        }
    }

    /// Sets the gauges.
    pub fn publish(&self, stats: &PoolStats) {
        self.size.set(stats.size);
        self.active.set(stats.active);
        self.idle.set(stats.idle);
        self.max.set(stats.max);
        self.utilization
            .set(f64::from(stats.active) / f64::from(stats.max.max(1)));
        self.created.absolute(stats.connections_created);
    }
}
