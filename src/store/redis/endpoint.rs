//! One Redis server: its connection, and what keeps a broken one from costing requests time.
//!
//! A command uses the connection that is there or fails at once; only just after the start it waits for the first one.
//! A task of its own connects and connects again.
//! It does not know what is stored there, nor whether there is another server to ask.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, PushInfo, PushKind, Value};
use tokio::sync::{Notify, Semaphore, TryAcquireError, watch};
use tokio::task::AbortHandle;

use super::RedisError;
use super::backoff::{Backoff, STABLE};
use super::metrics::RedisMetrics;
use super::span;
use super::url::ServerUrl;
use crate::resilience::{Breaker, BreakerState};
use crate::span::settle;

/// How long after the start commands wait for the first connection rather than go elsewhere: a process that has just
/// begun to listen would read from the next tier what Redis has. A response time limit that is longer counts instead.
const FIRST_CONNECTION: Duration = Duration::from_secs(1);

/// Limits of one server's use.
#[derive(Debug, Clone, Copy)]
pub struct EndpointSettings {
    /// How long a command may take; `None`: no limit.
    pub response_timeout: Option<Duration>,
    /// How long connecting may take, greeting included; `None`: no limit.
    pub connection_timeout: Option<Duration>,
    /// Commands and pipelines in flight; more are refused.
    pub in_flight_max: usize,
}

impl Default for EndpointSettings {
    /// `storage.md` 6.1. A thousand commands in flight are more than a tenth of a second of any load that we serve.
    fn default() -> Self {
        Self {
            response_timeout: Some(Duration::from_millis(100)),
            connection_timeout: Some(Duration::from_secs(5)),
            in_flight_max: 1024,
        }
    }
}

/// What is known of a server. It changes once for an outage, not with every attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointState {
    /// The first attempt is on its way.
    Connecting,
    /// There is a connection.
    Connected,
    /// There is none, for this reason; attempts go on.
    Failed(RedisError),
}

/// One server. Dropping it ends its task and connection.
#[derive(Debug)]
pub struct Endpoint {
    shared: Arc<Shared>,
    supervisor: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    url: ServerUrl,
    settings: EndpointSettings,
    live: ArcSwapOption<Live>,
    /// Until when commands wait for the first connection.
    first_until: Instant,
    in_flight: Semaphore,
    breaker: Breaker,
    metrics: RedisMetrics,
    state: watch::Sender<EndpointState>,
    wake: Notify,
}

#[derive(Debug)]
struct Live {
    connection: MultiplexedConnection,
    /// Told when this very connection is of no more use.
    lost: Arc<Notify>,
}

impl Endpoint {
    /// Starts connecting to a server, named as in metrics and logs. Needs a tokio runtime.
    #[must_use]
    pub fn start(name: &'static str, url: ServerUrl, settings: EndpointSettings) -> Self {
        let shared = Arc::new(Shared {
            name,
            url,
            settings,
            live: ArcSwapOption::empty(),
            first_until: Instant::now()
                + settings
                    .response_timeout
                    .unwrap_or_default()
                    .max(FIRST_CONNECTION),
            in_flight: Semaphore::new(settings.in_flight_max.min(Semaphore::MAX_PERMITS)),
            breaker: Breaker::new(name),
            metrics: RedisMetrics::default(),
            state: watch::Sender::new(EndpointState::Connecting),
            wake: Notify::new(),
        });
        let supervisor = tokio::spawn(supervise(Arc::clone(&shared))).abort_handle();
        Self { shared, supervisor }
    }

    /// Name, as in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &ServerUrl {
        &self.shared.url
    }

    /// What is known now.
    #[must_use]
    pub fn state(&self) -> EndpointState {
        self.shared.state.borrow().clone()
    }

    /// Changes of the state, for one report an outage.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<EndpointState> {
        self.shared.state.subscribe()
    }

    /// State of its breaker.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.shared.breaker.state()
    }

    /// Waits for the end of the first attempt to connect, whatever it was. Cancel safe.
    pub async fn first_attempt(&self) -> EndpointState {
        let mut watch = self.watch();
        // The sender lives as long as `self`; an error cannot come.
        match watch.wait_for(|state| *state != EndpointState::Connecting).await {
            Ok(state) => state.clone(),
            Err(_) => EndpointState::Connecting,
        }
    }

    /// Cuts a wait between two attempts short: something has shown that the server may be back.
    pub fn wake(&self) {
        self.shared.wake.notify_waiters();
    }

    /// Runs one command. Dropping the future gives up the reply; the command may still run.
    ///
    /// # Errors
    /// At once without a connection, once the first attempt to connect has ended or taken too long; otherwise at the
    /// latest at the response time limit.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let span = span::command(self.shared.name, command);
        let value = self
            .run(async |connection| connection.send_packed_command(command).await)
            .await;
        let reply =
            value.and_then(|value| decode(value).inspect_err(|error| self.shared.metrics.failed(error)));
        settle(span, &reply, span::code);
        reply
    }

    /// Runs a pipeline in one round trip; as a transaction if it is atomic.
    ///
    /// # Errors
    /// As for [`Self::query`]; an error reply to any of its commands fails all.
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, RedisError> {
        let span = span::pipeline(self.shared.name, pipeline);
        let reply = self
            .run(async |connection| pipeline.query_async(connection).await)
            .await;
        settle(span, &reply, span::code);
        reply
    }

    /// The connection of the first attempt, which is on its way; `None` at once when it is not.
    async fn first_connection(&self) -> Option<Arc<Live>> {
        if *self.shared.state.borrow() != EndpointState::Connecting {
            return self.shared.live.load_full();
        }
        let left = self.shared.first_until.saturating_duration_since(Instant::now());
        tokio::time::timeout(left, self.first_attempt()).await.ok()?;
        self.shared.live.load_full()
    }

    async fn run<T>(
        &self,
        call: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, redis::RedisError>,
    ) -> Result<T, RedisError> {
        let done = self.attempt(call).await;
        done.inspect_err(|error| self.shared.metrics.failed(error))
    }

    async fn attempt<T>(
        &self,
        call: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, redis::RedisError>,
    ) -> Result<T, RedisError> {
        let shared = &*self.shared;
        let live = match shared.live.load_full() {
            None => self.first_connection().await,
            live => live,
        };
        let Some(live) = live else {
            return Err(match &*shared.state.borrow() {
                EndpointState::Failed(RedisError::Denied(detail)) => RedisError::Denied(detail.clone()),
                _ => RedisError::Unavailable(Cow::Borrowed("no connection")),
            });
        };
        let _place = shared.in_flight.try_acquire().map_err(|error| match error {
            TryAcquireError::NoPermits => {
                RedisError::Unavailable(Cow::Borrowed("too many commands in flight"))
            }
            TryAcquireError::Closed => RedisError::Unavailable(Cow::Borrowed("closed")),
        })?;
        let permit = shared
            .breaker
            .admit(Instant::now())
            .map_err(|_| RedisError::Unavailable(Cow::Borrowed("breaker open")))?;
        let mut connection = live.connection.clone();
        match call(&mut connection).await {
            Ok(value) => {
                permit.succeeded();
                Ok(value)
            }
            Err(error) => {
                let sorted = RedisError::from_client(&error);
                if sorted.is_failure() {
                    permit.failed(Instant::now());
                } else {
                    permit.succeeded();
                }
                // A connection on which calls keep timing out may be dead without anyone having said so; a new one is proof.
                if error.is_unrecoverable_error()
                    || error.is_connection_dropped()
                    || (sorted == RedisError::Timeout && shared.breaker.state() != BreakerState::Closed)
                {
                    live.lost.notify_one();
                }
                Err(sorted)
            }
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

fn decode<T: FromRedisValue>(value: Value) -> Result<T, RedisError> {
    let value = value
        .extract_error()
        .map_err(|error| RedisError::from_client(&error))?;
    T::from_redis_value(value).map_err(|error| RedisError::Protocol(error.to_string()))
}

/// Connects, waits until the connection is lost, and begins again.
async fn supervise(shared: Arc<Shared>) {
    let mut backoff = Backoff::new();
    loop {
        let lost = Arc::new(Notify::new());
        match connect(&shared, Arc::clone(&lost)).await {
            Ok(connection) => {
                shared.live.store(Some(Arc::new(Live {
                    connection,
                    lost: Arc::clone(&lost),
                })));
                shared.breaker.reset();
                shared.state.send_replace(EndpointState::Connected);
                let since = Instant::now();
                lost.notified().await;
                shared.live.store(None);
                report(&shared, RedisError::Unavailable(Cow::Borrowed("connection lost")));
                if since.elapsed() >= STABLE {
                    backoff.reset();
                    continue;
                }
            }
            Err(error) => report(&shared, error),
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            () = shared.wake.notified() => {}
        }
    }
}

async fn connect(shared: &Shared, lost: Arc<Notify>) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(shared.settings.response_timeout)
        .set_push_sender(move |push: PushInfo| -> Result<(), redis::aio::SendError> {
            if push.kind == PushKind::Disconnection {
                lost.notify_one();
            }
            Ok(())
        });
    shared
        .url
        .connect(config, shared.settings.connection_timeout)
        .await
}

/// Notes why there is no connection; unchanged while the reason is of the same kind.
fn report(shared: &Shared, error: RedisError) {
    shared.state.send_if_modified(|state| {
        let same = matches!(state, EndpointState::Failed(known)
            if std::mem::discriminant(known) == std::mem::discriminant(&error)
                || (known.is_failure() && error.is_failure()));
        if !same {
            *state = EndpointState::Failed(error);
        }
        !same
    });
}
