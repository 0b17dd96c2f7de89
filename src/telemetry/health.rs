//! What the probes say: a heartbeat for liveness, a gate for readiness (`http.md` 14).

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::snapshot::BoxFuture;

/// Beats within the time that a heartbeat stays valid; one or two may be late.
const BEATS_PER_VALIDITY: u32 = 6;

/// Says whether the runtime still runs tasks. Unhealthy until the first beat.
#[derive(Debug)]
pub struct Heartbeat {
    started: Instant,
    valid_for: Duration,
    /// Milliseconds from `started` to the last beat, plus one; 0 before the first.
    last_beat: AtomicU64,
}

/// The answer of `/_liveness`; its text form begins as upstream's does, and only that is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivenessStatus {
    /// Whether the last beat is young enough.
    pub healthy: bool,
    component: &'static str,
}

impl Heartbeat {
    /// A heartbeat that stays valid for this long after each beat.
    #[must_use]
    pub fn new(valid_for: Duration) -> Self {
        Self {
            started: Instant::now(),
            valid_for,
            last_beat: AtomicU64::new(0),
        }
    }

    /// Notes that the runtime is alive.
    pub fn beat(&self, now: Instant) {
        let since = u64::try_from(now.duration_since(self.started).as_millis()).unwrap_or(u64::MAX - 1);
        self.last_beat.store(since.saturating_add(1), Ordering::Relaxed);
    }

    /// How often to beat.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.valid_for / BEATS_PER_VALIDITY
    }

    /// The state at a moment.
    #[must_use]
    pub fn status(&self, now: Instant) -> LivenessStatus {
        let last_beat = self.last_beat.load(Ordering::Relaxed);
        if last_beat == 0 {
            return LivenessStatus {
                healthy: false,
                component: "Starting",
            };
        }
        let valid_until = self.started + Duration::from_millis(last_beat - 1) + self.valid_for;
        let healthy = now < valid_until;
        LivenessStatus {
            healthy,
            component: if healthy { "Healthy" } else { "Stalled" },
        }
    }
}

impl fmt::Display for LivenessStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "HealthStatus {{ healthy: {}, components: {{\"simple_loop\": {}}} }}",
            self.healthy, self.component
        )
    }
}

/// Asks the stores whether they answer.
pub trait StoreCheck: Send + Sync {
    /// `Err` names what failed, without credentials. Cancel safe.
    fn check(&self) -> BoxFuture<'_, Result<(), String>>;
}

impl<F> StoreCheck for F
where
    F: Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync,
{
    fn check(&self) -> BoxFuture<'_, Result<(), String>> {
        self()
    }
}

/// What `/_readiness` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Send requests.
    Ready,
    /// The process is about to end.
    Draining,
    /// Evaluation would have to do without stored data.
    StoreUnavailable(String),
}

/// Open until the process drains.
pub struct ReadinessGate {
    draining: AtomicBool,
    stores: Option<Box<dyn StoreCheck>>,
}

impl ReadinessGate {
    /// An open gate; without `stores` only draining is looked at.
    #[must_use]
    pub fn new(stores: Option<Box<dyn StoreCheck>>) -> Self {
        Self {
            draining: AtomicBool::new(false),
            stores,
        }
    }

    /// From now on not ready.
    pub fn close(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The state now; stores have `limit` to answer.
    pub async fn ask(&self, limit: Duration) -> Readiness {
        if self.draining.load(Ordering::Relaxed) {
            return Readiness::Draining;
        }
        let Some(stores) = &self.stores else {
            return Readiness::Ready;
        };
        match timeout(limit, stores.check()).await {
            Ok(Ok(())) => Readiness::Ready,
            Ok(Err(error)) => Readiness::StoreUnavailable(error),
            Err(_) => Readiness::StoreUnavailable("no answer in time".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Heartbeat, Readiness, ReadinessGate};

    const VALID_FOR: Duration = Duration::from_secs(30);

    #[test]
    fn unhealthy_before_the_first_beat() {
        let status = Heartbeat::new(VALID_FOR).status(Instant::now());
        assert!(!status.healthy);
    }

    #[test]
    fn a_beat_is_valid_for_its_time_and_no_longer() {
        let heartbeat = Heartbeat::new(VALID_FOR);
        let beaten = Instant::now();
        heartbeat.beat(beaten);
        assert!(
            heartbeat
                .status(beaten + VALID_FOR - Duration::from_millis(10))
                .healthy
        );
        assert!(!heartbeat.status(beaten + VALID_FOR).healthy);
        assert!(
            heartbeat
                .status(beaten)
                .to_string()
                .starts_with("HealthStatus { healthy: true")
        );
    }

    #[tokio::test]
    async fn draining_outranks_the_stores() {
        let gate = ReadinessGate::new(Some(Box::new(|| -> crate::snapshot::BoxFuture<'static, _> {
            Box::pin(async { Err("away".to_owned()) })
        })));
        assert_eq!(
            gate.ask(VALID_FOR).await,
            Readiness::StoreUnavailable("away".to_owned())
        );
        gate.close();
        assert_eq!(gate.ask(VALID_FOR).await, Readiness::Draining);
    }

    #[tokio::test]
    async fn a_store_that_never_answers_is_unavailable() {
        let gate = ReadinessGate::new(Some(Box::new(|| -> crate::snapshot::BoxFuture<'static, _> {
            Box::pin(std::future::pending())
        })));
        let answer = gate.ask(Duration::from_millis(1)).await;
        assert!(matches!(answer, Readiness::StoreUnavailable(_)));
    }
}
