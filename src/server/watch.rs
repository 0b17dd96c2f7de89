//! Cuts slow and idle connections: one task looks at all of them a few times in a limit.
//!
//! hyper's own header timeout arms (and allocates) a timer for every request and treats an idle
//! connection like a slow one. Here a limit may be exceeded by at most 1/[`LOOKS_PER_LIMIT`] of the
//! header limit, and a request pays two counters.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::registry::{Order, Registry};

/// Looks in the time that headers may take.
const LOOKS_PER_LIMIT: u32 = 4;

/// What a connection has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Requests begun.
    pub(super) requests: u32,
    /// Whether one is being answered.
    pub(super) in_flight: bool,
    /// Whether bytes came that belong to no request yet.
    pub(super) unfinished_bytes: bool,
    /// HTTP/2: bytes between requests are not the start of one.
    pub(super) multiplexed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No request yet, or one has begun to arrive.
    Receiving,
    Answering,
    Idle,
}

/// Since when a connection has been in its phase, as far as it was looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observed {
    phase: Phase,
    requests: u32,
    since: Instant,
}

/// The two limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) header_read: Duration,
    pub(super) keep_alive: Duration,
}

impl Observed {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Receiving,
            requests: 0,
            since: now,
        }
    }

    /// Takes a look and says what should become of the connection.
    pub(super) fn judge(&mut self, progress: Progress, limits: Limits, now: Instant) -> Order {
        let phase = match progress {
            Progress { in_flight: true, .. } => Phase::Answering,
            Progress { requests: 0, .. } => Phase::Receiving,
            Progress {
                unfinished_bytes: true,
                multiplexed: false,
                ..
            } => Phase::Receiving,
            _ => Phase::Idle,
        };
        if phase != self.phase || progress.requests != self.requests {
            *self = Self {
                phase,
                requests: progress.requests,
                since: now,
            };
        }
        let lasted = now.duration_since(self.since);
        match self.phase {
            // Requests have deadlines of their own.
            Phase::Answering => Order::Serve,
            Phase::Receiving if lasted >= limits.header_read => Order::Cut,
            // The answer to the last request may still be on its way out, to a client that does not read it.
            Phase::Idle if lasted >= limits.keep_alive => Order::Cut,
            Phase::Receiving | Phase::Idle => Order::Serve,
        }
    }
}

/// Looks at all connections until it is dropped.
pub(super) async fn watch(registry: Arc<Registry>, limits: Limits) {
    let between = (limits.header_read.min(limits.keep_alive) / LOOKS_PER_LIMIT).max(Duration::from_millis(1));
    let mut looks = interval(between);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let now = Instant::now();
        registry.review(|observed, progress| observed.judge(progress, limits, now));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Limits, Observed, Progress};
    use crate::server::registry::Order;

    const LIMITS: Limits = Limits {
        header_read: Duration::from_secs(10),
        keep_alive: Duration::from_secs(100),
    };
    const IDLE: Progress = Progress {
        requests: 1,
        in_flight: false,
        unfinished_bytes: false,
        multiplexed: false,
    };

    /// Orders at the given seconds, the connection opened at second 0.
    fn orders(looks: &[(u64, Progress)]) -> Vec<Order> {
        let opened = Instant::now();
        let mut observed = Observed::new(opened);
        looks
            .iter()
            .map(|(second, progress)| {
                observed.judge(*progress, LIMITS, opened + Duration::from_secs(*second))
            })
            .collect()
    }

    #[test]
    fn a_connection_without_a_first_request_is_cut() {
        let silent = Progress { requests: 0, ..IDLE };
        assert_eq!(orders(&[(9, silent), (10, silent)]), [Order::Serve, Order::Cut]);
    }

    #[test]
    fn headers_that_drip_do_not_gain_time() {
        let dripping = Progress {
            unfinished_bytes: true,
            ..IDLE
        };
        assert_eq!(
            orders(&[(20, IDLE), (50, dripping), (55, dripping), (60, dripping)]),
            [Order::Serve, Order::Serve, Order::Serve, Order::Cut]
        );
    }

    #[test]
    fn an_idle_connection_may_stay_for_the_keep_alive_time() {
        assert_eq!(
            orders(&[(1, IDLE), (100, IDLE), (101, IDLE)]),
            [Order::Serve, Order::Serve, Order::Cut]
        );
        let busy = Progress { requests: 2, ..IDLE };
        assert_eq!(orders(&[(1, IDLE), (100, busy), (150, busy)]), [Order::Serve; 3]);
    }

    #[test]
    fn a_request_in_flight_is_left_alone() {
        let answering = Progress {
            in_flight: true,
            unfinished_bytes: true,
            ..IDLE
        };
        assert_eq!(orders(&[(1, answering), (1000, answering)]), [Order::Serve; 2]);
    }

    #[test]
    fn pings_of_http2_are_no_unfinished_request() {
        let pinging = Progress {
            unfinished_bytes: true,
            multiplexed: true,
            ..IDLE
        };
        assert_eq!(orders(&[(1, pinging), (90, pinging)]), [Order::Serve; 2]);
    }
}
