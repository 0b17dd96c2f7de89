//! Up to when it is proven that every change of stored entries has been delivered.
//!
//! Whoever follows a server writes here; requests read, without a lock. It knows no store: a server is a number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Servers that entries are read from: a shared one and a dedicated one.
const SERVERS_MAX: usize = 2;

/// One clock for all servers that entries are read from.
#[derive(Debug)]
pub struct PushClock {
    started: Instant,
    servers: Box<[ServerPush]>,
}

#[derive(Debug, Default)]
struct ServerPush {
    /// Number of the continuous period in which changes are delivered; 0: they are not.
    epoch: AtomicU64,
    /// Last number given out.
    last: AtomicU64,
    /// Milliseconds after `started`. Within an epoch it only grows.
    proven_ms: AtomicU64,
}

/// The epochs in which something was read. Take it before the read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs([u64; SERVERS_MAX]);

impl PushClock {
    /// For this many servers, at most two; none is followed yet. With none at all nothing is ever proven.
    #[must_use]
    pub fn new(servers: usize) -> Self {
        let servers = servers.min(SERVERS_MAX);
        Self {
            started: Instant::now(),
            servers: std::iter::repeat_with(ServerPush::default)
                .take(servers)
                .collect(),
        }
    }

    /// The current epochs; `None` while any server is not followed.
    #[must_use]
    pub fn epochs(&self) -> Option<Epochs> {
        if self.servers.is_empty() {
            return None;
        }
        let mut epochs = [0; SERVERS_MAX];
        for (epoch, server) in epochs.iter_mut().zip(&self.servers) {
            *epoch = server.epoch.load(Ordering::Acquire);
            if *epoch == 0 {
                return None;
            }
        }
        Some(Epochs(epochs))
    }

    /// The time up to which every change since `epochs` has been delivered; `None` when any of them has ended.
    #[must_use]
    pub fn fresh_until(&self, epochs: Epochs) -> Option<Instant> {
        let mut proven_ms = u64::MAX;
        for (epoch, server) in epochs.0.iter().zip(&self.servers) {
            proven_ms = proven_ms.min(server.proven_ms.load(Ordering::Acquire));
            // Read after the proof: a proof of a later epoch shows that this one has ended.
            if server.epoch.load(Ordering::Acquire) != *epoch || *epoch == 0 {
                return None;
            }
        }
        self.started.checked_add(Duration::from_millis(proven_ms))
    }

    /// Changes of a server are delivered from now on; `proven` is the time from which it is sure. The number of the epoch.
    pub fn begin(&self, server: usize, proven: Instant) -> u64 {
        let Some(server) = self.servers.get(server) else {
            return 0;
        };
        let number = server.last.fetch_add(1, Ordering::Relaxed) + 1;
        server
            .proven_ms
            .store(self.since_start(proven), Ordering::Release);
        server.epoch.store(number, Ordering::Release);
        number
    }

    /// Every change up to `proven` has been delivered and dealt with. Ignored when the epoch has ended.
    pub fn prove(&self, server: usize, epoch: u64, proven: Instant) {
        if let Some(server) = self.servers.get(server)
            && epoch != 0
            && server.epoch.load(Ordering::Acquire) == epoch
        {
            let proven_ms = self.since_start(proven);
            // A new epoch can begin in between; it began later than this proof, so the larger of the two stays right.
            server.proven_ms.fetch_max(proven_ms, Ordering::AcqRel);
        }
    }

    /// Changes of a server may be missed from now on.
    pub fn end(&self, server: usize) {
        if let Some(server) = self.servers.get(server) {
            server.epoch.store(0, Ordering::Release);
        }
    }

    fn since_start(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.started).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_servers_must_be_followed_and_the_slowest_counts() {
        let clock = PushClock::new(2);
        let start = clock.started;
        let after = |ms| start + Duration::from_millis(ms);
        let first = clock.begin(0, after(10));
        assert_eq!(clock.epochs(), None);
        let second = clock.begin(1, after(20));
        let epochs = clock.epochs().expect("both are followed");
        assert_eq!(clock.fresh_until(epochs), Some(after(10)));
        clock.prove(0, first, after(50));
        assert_eq!(clock.fresh_until(epochs), Some(after(20)));
        clock.prove(1, second, after(40));
        assert_eq!(clock.fresh_until(epochs), Some(after(40)));
        clock.end(1);
        assert_eq!((clock.fresh_until(epochs), clock.epochs()), (None, None));
    }

    #[test]
    fn what_was_read_in_an_earlier_epoch_is_never_proven_again() {
        let clock = PushClock::new(1);
        let old = clock.begin(0, clock.started);
        let epochs = clock.epochs().expect("followed");
        clock.end(0);
        clock.begin(0, clock.started);
        clock.prove(0, old, clock.started + Duration::from_secs(9));
        assert_eq!(clock.fresh_until(epochs), None);
        let now = clock.epochs().expect("followed again");
        assert_eq!(clock.fresh_until(now), Some(clock.started));
    }

    #[test]
    fn without_servers_nothing_is_proven() {
        assert_eq!(PushClock::new(0).epochs(), None);
    }
}
