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

/// What one question to a store brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Which store, or which way to it.
    pub name: &'static str,
    /// `None`: it answers.
    pub problem: Option<CheckProblem>,
    /// How long the answer took.
    pub took: Duration,
}

/// Why a store does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckProblem {
    /// What `/_readiness` says of it (`http.md` 14).
    pub summary: String,
    /// What only `?verbose` says (`decisions.md` 14), without credentials.
    pub detail: String,
}

/// Asks the stores whether they answer.
pub trait StoreCheck: Send + Sync {
    /// One report for each question, in the order in which they matter; each within `limit`. Cancel safe.
    fn check(&self, limit: Duration) -> BoxFuture<'_, Vec<CheckReport>>;
}

impl<F> StoreCheck for F
where
    F: Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync,
{
    fn check(&self, limit: Duration) -> BoxFuture<'_, Vec<CheckReport>> {
        let asked = self();
        Box::pin(async move {
            let began = Instant::now();
            let answer = timeout(limit, asked).await;
            let problem = match answer {
                Ok(answer) => answer.err(),
                Err(_) => Some("no answer in time".to_owned()),
            };
            vec![CheckReport {
                name: "store",
                problem: problem.map(|detail| CheckProblem {
                    summary: "store unavailable".to_owned(),
                    detail,
                }),
                took: began.elapsed(),
            }]
        })
    }
}

/// What `/_readiness` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Send requests.
    Ready,
    /// The process is about to end.
    Draining,
    /// Evaluation would have to do without stored data; what is said of the first store that fails.
    StoreUnavailable(String),
}

impl Readiness {
    /// One word for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::StoreUnavailable(_) => "unavailable",
        }
    }
}

/// Open until the process drains.
pub struct ReadinessGate {
    draining: AtomicBool,
    stores: Box<dyn StoreCheck>,
    stores_decide: bool,
}

impl ReadinessGate {
    /// An open gate. `stores_decide`: a store that does not answer closes it (`READINESS_CHECKS_DATABASE`).
    #[must_use]
    pub fn new(stores: Box<dyn StoreCheck>, stores_decide: bool) -> Self {
        Self {
            draining: AtomicBool::new(false),
            stores,
            stores_decide,
        }
    }

    /// From now on not ready.
    pub fn close(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The state at the moment of asking; each store has `limit` to answer.
    pub async fn ask(&self, limit: Duration) -> Readiness {
        if self.is_draining() {
            return Readiness::Draining;
        }
        if self.stores_decide {
            self.judge(&self.stores.check(limit).await)
        } else {
            Readiness::Ready
        }
    }

    /// The same, and what every store says, whether or not that decides.
    pub async fn ask_all(&self, limit: Duration) -> (Readiness, Vec<CheckReport>) {
        let draining = self.is_draining();
        let reports = self.stores.check(limit).await;
        let readiness = if draining {
            Readiness::Draining
        } else {
            self.judge(&reports)
        };
        (readiness, reports)
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn judge(&self, reports: &[CheckReport]) -> Readiness {
        let failed = reports.iter().find_map(|report| report.problem.as_ref());
        match failed {
            Some(problem) if self.stores_decide => Readiness::StoreUnavailable(problem.summary.clone()),
            _ => Readiness::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Heartbeat, Readiness, ReadinessGate};
    use crate::snapshot::BoxFuture;

    const VALID_FOR: Duration = Duration::from_secs(30);

    fn away() -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Err("away".to_owned()) })
    }

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
        let gate = ReadinessGate::new(Box::new(away), true);
        assert_eq!(
            gate.ask(VALID_FOR).await,
            Readiness::StoreUnavailable("store unavailable".to_owned())
        );
        gate.close();
        assert_eq!(gate.ask(VALID_FOR).await, Readiness::Draining);
        assert_eq!(gate.ask_all(VALID_FOR).await.0, Readiness::Draining);
    }

    #[tokio::test]
    async fn stores_that_do_not_decide_are_reported_all_the_same() {
        let gate = ReadinessGate::new(Box::new(away), false);
        assert_eq!(gate.ask(VALID_FOR).await, Readiness::Ready);
        let (state, reports) = gate.ask_all(VALID_FOR).await;
        assert_eq!(state, Readiness::Ready);
        let problem = reports[0].problem.as_ref().map(|problem| &*problem.detail);
        assert_eq!(problem, Some("away"));
    }

    #[tokio::test]
    async fn a_store_that_never_answers_is_unavailable() {
        let silent = || -> BoxFuture<'static, _> { Box::pin(std::future::pending()) };
        let gate = ReadinessGate::new(Box::new(silent), true);
        let answer = gate.ask(Duration::from_millis(1)).await;
        assert!(matches!(answer, Readiness::StoreUnavailable(_)));
    }
}
