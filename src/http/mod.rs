//! Routing; one file an endpoint; error to response.
//!
//! `route.rs` answers any request; `flags.rs` is the evaluation endpoint; `respond.rs` is the one place
//! that knows statuses and error texts. Connections, their limits in time and their end are `server`'s.

mod admission;
mod body;
mod capture;
pub mod client_address;
mod clock;
mod config_fields;
mod cors;
mod definitions;
mod exposition;
pub mod flags;
mod minimal;
pub mod observe;
mod probes;
pub mod request_id;
mod respond;
mod route;
mod scratch;
mod trace;
mod unwind;
pub mod user_agent;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;

pub use body::BODY_BYTES_MAX;
pub use clock::Clock;
pub use definitions::{Definitions, DefinitionsStores};
pub use respond::{Content, HttpError, Reply};
pub use route::handle;

use self::observe::Observers;
use crate::config::{Config, ServiceMode};
use crate::context::PersonSource;
use crate::context::cookieless::{Cookieless, CookielessStore};
use crate::context::geo::{GeoLookup, GeoSource};
use crate::engine::ContinuityLookups;
use crate::evaluation::{EvaluationPool, EvaluationSettings, Fairness};
use crate::limit::{ConcurrencyLimit, Limits};
use crate::processors::Threads;
use crate::quota::Quota;
use crate::recorder::Recorder;
use crate::resilience::RetryBudget;
use crate::snapshot::{ProjectSource, SnapshotMap, SnapshotSettings};
use crate::telemetry::metrics::Exporter;
use crate::telemetry::{Heartbeat, ReadinessGate, StoreCheck};
use crate::wire::query::FlagsQuery;

/// What every request of a process shares.
pub struct AppState {
    /// Which routes exist.
    pub service_mode: ServiceMode,
    /// From the first look at a request on a flag route to its answer.
    pub request_timeout: Duration,
    /// For a body to arrive.
    pub body_read_timeout: Duration,
    /// Requests in the flag handlers at once.
    pub concurrency: ConcurrencyLimit,
    /// Requests a client address, project token or team.
    pub limits: Arc<Limits>,
    /// Entries of `X-Forwarded-For` that are believed (`http.md` 4.2).
    pub trusted_proxy_hops: usize,
    /// Beaten by the server, asked by `/_liveness`.
    pub heartbeat: Heartbeat,
    /// Closed by the server when it drains, asked by `/_readiness`.
    pub readiness: ReadinessGate,
    /// What `/metrics` shows; `None`: it is not served.
    pub metrics: Option<Exporter>,
    /// What counts and logs requests.
    pub observers: Observers,
    /// Teams that this process holds.
    pub snapshots: Arc<SnapshotMap>,
    /// What SDKs evaluate with themselves, and who may have it.
    pub definitions: Definitions,
    /// Persons, groups and continuity rows.
    pub persons: Arc<dyn PersonSource>,
    /// Makes the ids of cookieless mode.
    pub cookieless: Cookieless,
    /// Who is over a limit, and usage counts; tasks of their own read and write them.
    pub quota: Arc<Quota>,
    /// Locations of clients; `None`: there is no database of them.
    pub geo: Option<GeoLookup>,
    /// Keeps a sample of requests; `None`: off.
    pub recorder: Option<Recorder>,
    /// Settings of evaluation.
    pub evaluation: EvaluationSettings,
    /// The system's clock unless a caller fixes it.
    pub clock: Clock,
}

/// The stores of a process, as ports.
pub struct Stores {
    /// Definitions.
    pub projects: Arc<dyn ProjectSource>,
    /// The same as SDKs get them, and credentials.
    pub definitions: DefinitionsStores,
    /// Persons, groups and continuity rows.
    pub persons: Arc<dyn PersonSource>,
    /// Salts and identify counts.
    pub cookieless: Arc<dyn CookielessStore>,
    /// Locations of clients, if there is a database of them.
    pub geo: Option<Arc<dyn GeoSource>>,
    /// The process's budget for second attempts.
    pub retries: Arc<RetryBudget>,
    /// What the readiness probe asks.
    pub check: Box<dyn StoreCheck>,
}

impl AppState {
    /// State for a process with these settings; the readiness probe asks the stores unless settings say
    /// otherwise.
    #[must_use]
    pub fn new(config: &Config, stores: Stores) -> Self {
        // Before anything here resolves its handles.
        let metrics = config
            .telemetry
            .enable_metrics
            .then(crate::telemetry::metrics::install);
        let snapshots = Arc::new(SnapshotMap::new(stores.projects, snapshot_settings(config)));
        Self {
            recorder: Recorder::start(&config.recorder, Box::new(capture::Held(Arc::clone(&snapshots)))),
            metrics,
            observers: Observers::new(&config.telemetry),
            service_mode: config.server.service_mode,
            request_timeout: config.concurrency.request_timeout,
            body_read_timeout: config.server.body_read_timeout,
            concurrency: ConcurrencyLimit::new(config.concurrency.max_concurrency),
            limits: Arc::new(Limits::new(&config.rate_limit, &config.definitions)),
            trusted_proxy_hops: config.server.trusted_proxy_hops,
            heartbeat: Heartbeat::new(config.telemetry.health_interval),
            readiness: ReadinessGate::new(stores.check, config.server.readiness_checks_database),
            snapshots,
            definitions: Definitions::new(config, stores.definitions, snapshot_settings(config)),
            persons: stores.persons,
            cookieless: Cookieless::new(
                stores.cookieless,
                config.cookieless.disabled,
                config.cookieless.force_stateless,
                config.cookieless.salt_ttl,
            ),
            quota: Arc::new(Quota::new(
                config.quota.pending_entries_max,
                !config.continuity.skip_writes,
            )),
            geo: stores.geo.map(GeoLookup::new),
            evaluation: evaluation_settings(config, stores.retries),
            clock: Clock::default(),
        }
    }
}

impl AppState {
    /// Loads again what the stores say has changed. Run as a task; it never ends.
    pub fn follow_changes(&self, retry_after: Duration) -> impl Future<Output = ()> + Send + 'static {
        let others = self.definitions.followers();
        Arc::clone(&self.snapshots).follow_changes_with(others, retry_after)
    }
}

/// One `POST` on a flag route, apart from its body. The query string has been checked.
#[derive(Debug, Clone, Copy)]
pub struct FlagsCall<'a> {
    /// All request headers.
    pub headers: &'a HeaderMap,
    /// Query string.
    pub query: &'a FlagsQuery<'a>,
    /// Whether the older shapes are asked for, by path or by header (`http.md` 9.1).
    pub is_decide: bool,
    /// Peer of the connection.
    pub peer: IpAddr,
    /// `TRUSTED_PROXY_HOPS`.
    pub trusted_proxy_hops: usize,
}

impl FlagsCall<'_> {
    /// The client's address (`http.md` 4.2). Reads headers: keep the result.
    #[must_use]
    pub fn client_address(&self) -> IpAddr {
        client_address::client_address(self.headers, self.peer, self.trusted_proxy_hops)
    }
}

fn snapshot_settings(config: &Config) -> SnapshotSettings {
    SnapshotSettings {
        capacity_bytes: config.snapshot.capacity_bytes,
        lookups_max: config.snapshot.unknown_lookups_max,
        negative_capacity: config.snapshot.negative_capacity,
        negative_time_to_live: config.snapshot.negative_ttl,
        soft_ttl: config.snapshot.soft_ttl,
        hard_ttl: config.snapshot.hard_ttl,
        load_wait: config.snapshot.load_wait,
    }
}

/// The budget of `storage.md` 5.6: its own, or what the request's limit leaves, with half a second to answer in.
fn persons_deadline(config: &Config) -> Duration {
    const TO_ANSWER: Duration = Duration::from_millis(500);
    let request = config.concurrency.request_timeout;
    let left = request.saturating_sub(TO_ANSWER).max(request / 2);
    match config.concurrency.persons_deadline {
        Duration::ZERO => left,
        own => own.min(left),
    }
}

fn evaluation_settings(config: &Config, retry_budget: Arc<RetryBudget>) -> EvaluationSettings {
    let settings = &config.evaluation;
    let limits = &config.concurrency;
    let threads = Threads::of(config);
    // The others always find places, unless there is only one.
    let dear_requests_max = match limits.dear_requests_max {
        0 => limits.max_concurrency / 4,
        chosen => chosen,
    };
    EvaluationSettings {
        continuity_lookups: if config.continuity.optimize_lookups {
            ContinuityLookups::WhenItMatters
        } else {
            ContinuityLookups::Always
        },
        skip_writes: config.continuity.skip_writes,
        persons_deadline: persons_deadline(config),
        retry_budget,
        pool: (threads.pool > 0)
            .then(|| {
                EvaluationPool::with_threads(
                    threads.pool,
                    settings.parallel_threshold,
                    settings.parallel_requests_max,
                    settings.parallel_wait,
                )
            })
            .flatten()
            .map(Arc::new),
        fairness: Arc::new(Fairness::new(
            limits.dear_cost,
            dear_requests_max,
            threads.runtime,
        )),
    }
}
