//! How long what was loaded is known to be current, when the servers that it came from announce every change.
//!
//! A tracking connection delivers announcements in the order in which the server sent them. An answer to a question
//! that was asked at a moment therefore proves that every change before that moment has been heard of. A period of
//! unbroken tracking has a number, the epoch; what was loaded in an epoch stays proven while it lasts. Readers look at
//! two atomics a server and wait for nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Servers that entries are read from: the shared and the dedicated one.
const SERVERS_MAX: usize = 2;

/// What every tracking connection of the process has proven so far.
#[derive(Debug)]
pub struct PushClock {
    started: Instant,
    servers: Box<[ServerPush]>,
}

/// One server's tracking connection. Written by its one task, read by everybody.
#[derive(Debug, Default)]
pub struct ServerPush {
    /// Odd while tracking is unbroken, even in between; 0 at first.
    epoch: AtomicU64,
    /// Milliseconds since the clock's start up to which every change has been heard of, in this epoch.
    proven_ms: AtomicU64,
    /// The same at the end of the epoch before.
    proven_before_ms: AtomicU64,
}

/// The epochs of all servers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs([u64; SERVERS_MAX]);

/// What tracking says of something that was loaded in given epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All servers are still tracked: current up to this many milliseconds after the clock's start.
    Proven(u64),
    /// Tracking of a server has ended since; it was proven up to this moment.
    Lost(u64),
}

impl PushClock {
    /// A clock for this many servers, none of them tracked yet; 0 when nothing announces changes.
    ///
    /// # Panics
    /// With more than two servers: there are no more kinds of them.
    #[must_use]
    pub fn new(servers: usize) -> Self {
        assert!(
            servers <= SERVERS_MAX,
            "entries are read from two servers at most"
        );
        Self {
            started: Instant::now(),
            servers: (0..servers).map(|_| ServerPush::default()).collect(),
        }
    }

    /// Milliseconds from the clock's start to a moment.
    #[must_use]
    pub fn milliseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// The servers, in the order that adapters gave them.
    #[must_use]
    pub fn servers(&self) -> &[ServerPush] {
        &self.servers
    }

    /// The present epochs; `None` unless every server is tracked. To be asked before a load begins.
    #[must_use]
    pub fn epochs(&self) -> Option<Epochs> {
        let mut epochs = [0; SERVERS_MAX];
        for (epoch, server) in epochs.iter_mut().zip(&self.servers) {
            *epoch = server.epoch.load(Ordering::Acquire);
            if epoch.is_multiple_of(2) {
                return None;
            }
        }
        (!self.servers.is_empty()).then_some(Epochs(epochs))
    }

    /// What is known of something loaded in these epochs.
    #[must_use]
    pub fn standing(&self, epochs: Epochs) -> Standing {
        let mut tracked = true;
        let mut until = u64::MAX;
        for (epoch, server) in epochs.0.into_iter().zip(&self.servers) {
            let proven = server.proven_ms.load(Ordering::Acquire);
            let before = server.proven_before_ms.load(Ordering::Acquire);
            // Read last: if the epoch is still the same, so was it when the proof was read.
            let now = server.epoch.load(Ordering::Acquire);
            let known = if now == epoch || now == epoch + 1 {
                proven
            } else if now == epoch + 2 {
                before
            } else {
                0
            };
            tracked &= now == epoch;
            until = until.min(known);
        }
        if tracked {
            Standing::Proven(until)
        } else {
            Standing::Lost(until)
        }
    }

    /// Tracking of a server has begun; `asked`: before the server was told to track. The number of the epoch, which goes on
    /// when it had begun already. To be called by the server's one task.
    pub fn begin(&self, server: usize, asked: Instant) -> u64 {
        let Some(state) = self.servers.get(server) else {
            return 0;
        };
        let mut epoch = state.epoch.load(Ordering::Relaxed);
        if epoch.is_multiple_of(2) {
            let proven = state.proven_ms.load(Ordering::Relaxed);
            state.proven_before_ms.store(proven, Ordering::Release);
            epoch += 1;
            state.epoch.store(epoch, Ordering::Release);
            state.proven_ms.store(self.milliseconds(asked), Ordering::Release);
        }
        epoch
    }

    /// Every change up to the moment at which a question was asked has been heard of. Ignored when the epoch has ended.
    pub fn prove(&self, server: usize, epoch: u64, asked: Instant) {
        if let Some(state) = self.servers.get(server)
            && epoch % 2 == 1
            && state.epoch.load(Ordering::Acquire) == epoch
        {
            // A new epoch can begin in between; it began later than this proof, so the larger of the two stays right.
            state
                .proven_ms
                .fetch_max(self.milliseconds(asked), Ordering::AcqRel);
        }
    }

    /// Tracking of a server has ended.
    pub fn end(&self, server: usize) {
        let Some(state) = self.servers.get(server) else {
            return;
        };
        let epoch = state.epoch.load(Ordering::Relaxed);
        if epoch % 2 == 1 {
            state.epoch.store(epoch + 1, Ordering::Release);
        }
    }

    /// The time up to which every change since `epochs` has been heard of; `None` when one of them has ended.
    #[must_use]
    pub fn fresh_until(&self, epochs: Epochs) -> Option<Instant> {
        match self.standing(epochs) {
            Standing::Proven(until) => self.started.checked_add(Duration::from_millis(until)),
            Standing::Lost(_) => None,
        }
    }

    /// Whether every server is tracked now.
    #[must_use]
    pub fn is_tracking(&self) -> bool {
        self.epochs().is_some()
    }

    /// How long ago the weakest proof is; `None` unless every server is tracked.
    #[must_use]
    pub fn proof_age(&self, now: Instant) -> Option<Duration> {
        match self.standing(self.epochs()?) {
            Standing::Proven(until) => Some(Duration::from_millis(
                self.milliseconds(now).saturating_sub(until),
            )),
            Standing::Lost(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_while_the_epoch_lasts() {
        let clock = PushClock::new(2);
        let at = |ms| clock.started + Duration::from_millis(ms);
        let zero = clock.begin(0, at(100));
        assert_eq!(clock.epochs(), None, "one server is not tracked");
        let one = clock.begin(1, at(200));
        let epochs = clock.epochs().expect("both are");
        assert_eq!(clock.standing(epochs), Standing::Proven(100));
        clock.prove(0, zero, at(900));
        assert_eq!(
            clock.standing(epochs),
            Standing::Proven(200),
            "the weaker one counts"
        );
        clock.prove(1, one, at(800));
        clock.end(1);
        assert_eq!(clock.standing(epochs), Standing::Lost(800));
        clock.prove(1, one, at(1000));
        clock.begin(1, at(2000));
        assert_eq!(
            clock.standing(epochs),
            Standing::Lost(800),
            "the gap is not proven"
        );
        let later = clock.epochs().expect("both are again");
        assert_eq!(clock.standing(later), Standing::Proven(900));
        clock.end(1);
        clock.begin(1, at(3000));
        assert_eq!(clock.standing(epochs), Standing::Lost(0));
    }

    #[test]
    fn without_servers_nothing_is_proven() {
        let clock = PushClock::new(0);
        assert_eq!(clock.epochs(), None);
        assert!(!clock.is_tracking());
    }
}
