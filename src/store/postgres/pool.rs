//! A pool of connections to one database: bounded in connections, in time and in those who wait.
//!
//! A server that cannot be reached fails its callers at once, and after a few failures is not asked for a moment
//! ([`Breaker`]). Statement timeouts are part of how a connection is opened, so that none is ever without.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::Query;
use super::error::PostgresError;
use super::lease::Lease;
use super::manager::{ConnectFailure, Counters, Failures, Manager, count};
use super::metrics::PoolMetrics;
use super::tls::{TlsError, connector};
use super::trial::Trial;
use super::url::PostgresUrl;
use crate::resilience::{Breaker, BreakerState};

/// How many may wait for each connection that a pool may have; more are refused at once. With a statement of 10 ms they
/// wait for 40 ms, and whoever would wait longer than the acquire limit need not queue.
const WAITERS_PER_CONNECTION: u32 = 4;

/// What an answer may take on its way beyond the server's own statement timeout.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// Longest wait for an answer where the statement timeout is off.
const ANSWER_LIMIT_MAX: Duration = Duration::from_secs(30);

/// How a pool is to be.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Where, and how safely.
    pub url: PostgresUrl,
    /// `MAX_PG_CONNECTIONS`; 0 counts as 1.
    pub connections_max: u32,
    /// Connections kept open without use.
    pub connections_min: u32,
    /// `ACQUIRE_TIMEOUT_SECS`: for a connection, made or awaited; 0 counts as 1 ms.
    pub acquire_limit: Duration,
    /// `IDLE_TIMEOUT_SECS`; `None`: idle connections are kept.
    pub idle_limit: Option<Duration>,
    /// Longest life of a connection; the shortest is four fifths of it, at random, so that connections made together do
    /// not end together. [`PoolSettings::LIFETIME_MAX`] unless a test wants to see it.
    pub lifetime_max: Duration,
    /// For each statement, by the server; zero: none.
    pub statement_timeout: Duration,
    /// `TEST_BEFORE_ACQUIRE`: a round trip for each acquire.
    pub test_before_acquire: bool,
}

impl PoolSettings {
    /// 30 minutes: servers and balancers change, and server processes grow.
    pub const LIFETIME_MAX: Duration = Duration::from_secs(30 * 60);
}

/// What a pool is doing, and has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Open connections.
    pub size: u32,
    /// Of these, unused.
    pub idle: u32,
    /// Of these, in use.
    pub active: u32,
    /// Most that may be open.
    pub max: u32,
    /// Callers that are being given, or wait for, a connection.
    pub waiting: u32,
    /// Connections handed out.
    pub acquires: u64,
    /// Exchanges with the server after that, each one or more statements sent together. Preparing a statement for the
    /// first time on a connection, and tests, are not counted.
    pub round_trips: u64,
    /// Connections opened.
    pub connections_created: u64,
    /// Tests before handing out.
    pub tests: u64,
    /// Statements that the server was asked to end, because nobody waited for them any more.
    pub canceled: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Pool {
    name: &'static str,
    inner: bb8::Pool<Manager>,
    max: u32,
    acquire_limit: Duration,
    waiting: AtomicU32,
    failures: Arc<watch::Sender<Option<ConnectFailure>>>,
    pub(super) metrics: PoolMetrics,
    pub(super) breaker: Breaker,
    pub(super) counters: Arc<Counters>,
    pub(super) answer_limit: Duration,
    /// For cancelling over a connection of its own; as many at once as the pool has connections.
    pub(super) cancels: Arc<Semaphore>,
    pub(super) connector: Connector,
}

/// The connector, which has no debug form.
#[derive(Clone)]
pub(super) struct Connector(pub MakeRustlsConnect);

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Connector")
    }
}

impl Pool {
    /// Opens a pool; connections are made when they are wanted. `name` as in metrics. Inside a tokio runtime.
    ///
    /// # Errors
    /// When the certificate authorities that the URL names cannot be read.
    pub fn open(name: &'static str, settings: PoolSettings) -> Result<Arc<Self>, TlsError> {
        let max = settings.connections_max.max(1);
        let acquire_limit = settings.acquire_limit.max(Duration::from_millis(1));
        let lifetime_max = settings.lifetime_max.max(Duration::from_millis(1));
        let connector = connector(&settings.url)?;
        let counters = Arc::new(Counters::default());
        let failures = Arc::new(watch::Sender::new(None));
        let mut config = settings.url.config.clone();
        let timeout_ms = settings.statement_timeout.as_millis();
        let mut options = config.get_options().map(ToOwned::to_owned).unwrap_or_default();
        if !options.is_empty() {
            options.push(' ');
        }
        // Last, so that it wins over one in the URL.
        options.push_str(&format!("-c statement_timeout={timeout_ms}"));
        config.options(options);
        if config.get_application_name().is_none() {
            config.application_name("feature-flags");
        }
        let manager = Manager {
            config,
            connector: connector.clone(),
            connect_limit: acquire_limit,
            lifetime_max,
            counters: Arc::clone(&counters),
        };
        let minimum = settings.connections_min.min(max);
        let inner = bb8::Pool::builder()
            .max_size(max)
            .min_idle((minimum > 0).then_some(minimum))
            .connection_timeout(acquire_limit)
            .idle_timeout(settings.idle_limit.filter(|limit| !limit.is_zero()))
            .max_lifetime(lifetime_max)
            .retry_connection(false)
            .test_on_check_out(settings.test_before_acquire)
            .error_sink(Box::new(Failures(Arc::clone(&failures))))
            .build_unchecked(manager);
        Ok(Arc::new(Self {
            name,
            inner,
            max,
            acquire_limit,
            waiting: AtomicU32::new(0),
            failures,
            metrics: PoolMetrics::of(name),
            breaker: Breaker::new(name),
            counters,
            answer_limit: if timeout_ms == 0 {
                ANSWER_LIMIT_MAX
            } else {
                settings.statement_timeout + ANSWER_MARGIN
            },
            cancels: Arc::new(Semaphore::new(max as usize)),
            connector: Connector(connector),
        }))
    }

    /// Label `pool` of metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the database is being asked.
    #[must_use]
    pub fn breaker_state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// See [`PoolStats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let state = self.inner.state();
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        PoolStats {
            size: state.connections,
            idle: state.idle_connections,
            active: state.connections.saturating_sub(state.idle_connections),
            max: self.max,
            waiting: self.waiting.load(Ordering::Relaxed),
            acquires: read(&self.counters.acquires),
            round_trips: read(&self.counters.round_trips),
            connections_created: read(&self.counters.connections_created),
            tests: read(&self.counters.tests),
            canceled: read(&self.counters.canceled),
        }
    }

    /// Sets the gauges of the pool to what it is doing now.
    pub fn publish_gauges(&self) {
        self.metrics.publish(&self.stats());
    }

    /// A connection for one caller. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    /// At once when the breaker is open, too many wait, or no connection is open and none can be made; else when none
    /// is free in time.
    pub(super) async fn acquire(&self) -> Result<Lease<'_>, PostgresError> {
        let asked = Instant::now();
        let acquired = self.acquire_uncounted().await;
        match &acquired {
            Ok(_) => self.metrics.acquired(asked.elapsed()),
            Err(error) => self.metrics.failed(error),
        }
        acquired
    }

    async fn acquire_uncounted(&self) -> Result<Lease<'_>, PostgresError> {
        let permit = self
            .breaker
            .admit(Instant::now())
            .map_err(PostgresError::Suspended)?;
        let place = Place::take(&self.waiting, self.max * (WAITERS_PER_CONNECTION + 1))?;
        let mut trial = Trial::new(&self.breaker, permit);
        trial.begin(self.acquire_limit);
        let mut failures = self.failures.subscribe();
        let mut get = std::pin::pin!(self.inner.get());
        let got = loop {
            tokio::select! {
                biased;
                got = &mut get => break got.map_err(|error| match error {
                    bb8::RunError::TimedOut => PostgresError::PoolTimeout,
                    bb8::RunError::User(error) => error,
                }),
                changed = failures.changed() => {
                    let failure = failures.borrow_and_update().clone();
                    match failure {
                        // While others are open, one of them may become free.
                        Some(failure) if changed.is_ok() && self.inner.state().connections == 0 => {
                            break Err(PostgresError::Connect { detail: failure.detail, class: failure.class });
                        }
                        _ => {}
                    }
                }
            }
        };
        drop(place);
        match got {
            Ok(connection) => {
                count(&self.counters.acquires);
                trial.pause();
                Ok(Lease::new(self, connection, trial))
            }
            Err(error) => {
                trial.settle(false);
                Err(error)
            }
        }
    }
}

/// A place among those who are being given a connection.
struct Place<'p>(&'p AtomicU32);

impl<'p> Place<'p> {
    fn take(waiting: &'p AtomicU32, places: u32) -> Result<Self, PostgresError> {
        let taken = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        if taken >= places {
            return Err(PostgresError::PoolCrowded);
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// R1: whether the database answers, for readiness and for the report at start.
///
/// # Errors
/// When it does not, or is not asked because it has failed just now.
pub async fn ping(pool: &Pool) -> Result<(), PostgresError> {
    let mut lease = pool.acquire().await?;
    let query = Query {
        sql: "SELECT 1",
        parameters: &[],
    };
    lease.query(query).await.map(drop)
}
