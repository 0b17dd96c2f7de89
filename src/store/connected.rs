//! The stores of a running PostHog together: Redis, S3 and PostgreSQL behind the ports.
//!
//! Opening them waits for nobody: what is away is reported by [`Connected::ask`] and retried. Takes plain values; where
//! they come from is decided at start.

mod credentials;
mod examine;
mod refresh;

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::config::SharedCredentialsProvider;

use super::postgres::{
    OpenError, Pools, PoolsSettings, PostgresDefinitions, PostgresError, PostgresPersons, ping,
};
use super::redis::{
    COOKIELESS, ChangeQueue, Client, ClientUrls, CookielessStore, DEDICATED, EndpointSettings, EndpointState,
    RedisEntries, RedisError, RedisLimits, RedisUsage, SHARED, Server, Tracker, TrackingSettings,
};
use super::s3::{S3Settings, S3Store};
use crate::auth::CredentialCache;
use crate::hypercache::BoxFuture;
use crate::hypercache::build::ConfigOptions;
use crate::hypercache::reader::{HyperCacheReader, ReaderLimits};
use crate::hypercache::value::Compression;
use crate::hypercache::warm::Warmer;
use crate::resilience::{BreakerState, RetryBudget};
use crate::snapshot::push::PushClock;
use crate::snapshot::{TieredSettings, TieredSource};

pub use examine::examine;
pub use refresh::{RefreshError, Refreshed};

/// Where everything is, and its bounds.
#[derive(Debug, Clone)]
pub struct ConnectedSettings {
    /// The Redis servers of entries.
    pub redis: RedisServers,
    /// `redis://` URL of the server that holds cookieless salts; `None`: the shared Redis.
    pub cookieless_url: Option<String>,
    /// S3.
    pub objects: S3Settings,
    /// PostgreSQL.
    pub pools: PoolsSettings,
    /// Loading of projects.
    pub tiers: TieredSettings,
    /// Configuration that is built from team settings.
    pub config: ConfigOptions,
    /// `HYPERCACHE_READ_REPAIR_TTL_SECONDS`.
    pub repair_ttl: Duration,
    /// `SKIP_WRITES`.
    pub skip_writes: bool,
    /// Time between proofs that no change was missed: half the soft TTL. `None`: changes are not announced, and age alone
    /// decides when definitions are read again.
    pub heartbeat: Option<Duration>,
}

/// Redis by URL.
#[derive(Debug, Clone)]
pub struct RedisServers {
    /// `REDIS_URL`.
    pub url: String,
    /// `REDIS_READER_URL`.
    pub reader_url: Option<String>,
    /// `FLAGS_REDIS_URL`.
    pub flags_url: Option<String>,
    /// `FLAGS_REDIS_READER_URL`.
    pub flags_reader_url: Option<String>,
    /// `FLAGS_REDIS_ENABLED`.
    pub flags_enabled: bool,
    /// `FLAG_DEFINITIONS_DEDICATED_REDIS_ENABLED`.
    pub definitions_dedicated: bool,
    /// Limits of each connection.
    pub endpoint: EndpointSettings,
    /// `REDIS_COMPRESSION_ENABLED`, for read repair.
    pub compression: bool,
}

/// Settings that no store can be opened with.
#[derive(Debug)]
pub enum ConnectError {
    /// A Redis URL; which variable, and why.
    Redis(&'static str, RedisError),
    /// A pool.
    Postgres(OpenError),
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Redis(variable, error) => write!(formatter, "{variable}: {error}"),
            Self::Postgres(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for ConnectError {}

/// One dependency at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// As in metrics and logs.
    pub source: String,
    /// Why it cannot be used now; `None`: it can.
    pub problem: Option<String>,
}

/// Open stores.
pub struct Connected {
    shared: Arc<Client>,
    dedicated: Option<Arc<Client>>,
    credentials: Arc<CredentialCache>,
    skip_writes: bool,
    clients: Vec<Arc<Client>>,
    entries: Arc<RedisEntries>,
    objects: Arc<S3Store>,
    pools: Pools,
    definitions: Arc<PostgresDefinitions>,
    persons: Arc<PostgresPersons>,
    cookieless: Arc<CookielessStore>,
    source: Arc<TieredSource>,
    retries: Arc<RetryBudget>,
    config: Arc<ConfigOptions>,
    /// Followed as long as the stores are open.
    trackers: Vec<Tracker>,
    warnings: Vec<String>,
}

impl Connected {
    /// Opens everything, S3 with the credentials of the environment. Inside a tokio runtime.
    ///
    /// # Errors
    /// When a setting cannot be meant; never because a server is away.
    pub fn open(settings: ConnectedSettings) -> Result<Self, ConnectError> {
        Self::open_with(settings, None)
    }

    /// The same, with other credentials for S3.
    ///
    /// # Errors
    /// As [`Connected::open`].
    pub fn open_with(
        settings: ConnectedSettings,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Result<Self, ConnectError> {
        let retries = Arc::new(RetryBudget::default());
        let mut warnings = Vec::new();
        let servers = &settings.redis;
        let client =
            |names, urls| Arc::new(Client::start(names, urls, servers.endpoint, Arc::clone(&retries)));
        let shared = urls(
            "REDIS_URL",
            Some(&servers.url),
            servers.reader_url.as_deref(),
            &mut warnings,
        )?
        .map(|urls| client(SHARED, urls));
        let Some(shared) = shared else {
            let error = RedisError::Unavailable("no URL".into());
            return Err(ConnectError::Redis("REDIS_URL", error));
        };
        let dedicated = urls(
            "FLAGS_REDIS_URL",
            servers.flags_url.as_deref(),
            servers.flags_reader_url.as_deref(),
            &mut warnings,
        )?
        .map(|urls| client(DEDICATED, urls));
        let cookieless = urls(
            "COOKIELESS_REDIS_HOST",
            settings.cookieless_url.as_deref(),
            None,
            &mut warnings,
        )?
        .map(|urls| client(COOKIELESS, urls));
        let mut clients = vec![Arc::clone(&shared)];
        clients.extend(dedicated.iter().chain(&cookieless).cloned());

        let entries = Arc::new(RedisEntries::new(
            Arc::clone(&shared),
            dedicated.clone(),
            servers.flags_enabled,
            servers.definitions_dedicated,
        ));
        let known_credentials = Arc::new(CredentialCache::default());
        let (queue, trackers) = follow(&entries, settings.heartbeat, servers.endpoint, &known_credentials);

        let objects = S3Store::new(settings.objects, Arc::clone(&retries));
        let objects = Arc::new(match credentials {
            Some(credentials) => objects.with_credentials(credentials),
            None => objects,
        });
        let pools = Pools::open(settings.pools).map_err(ConnectError::Postgres)?;
        let definitions = Arc::new(PostgresDefinitions::new(
            Arc::clone(&pools.non_persons_reader),
            Arc::clone(&pools.persons_reader),
        ));
        let limits = ReaderLimits {
            repair_ttl: settings.repair_ttl,
            skip_writes: settings.skip_writes,
            compression: if servers.compression {
                Compression::Zstd
            } else {
                Compression::Off
            },
            ..ReaderLimits::default()
        };
        let reader = HyperCacheReader::new(Arc::clone(&entries) as _, Arc::clone(&objects) as _, limits);
        let source = Arc::new(TieredSource::new(
            Arc::new(reader),
            Arc::clone(&definitions) as _,
            queue,
            &settings.tiers,
        ));
        Ok(Self {
            persons: Arc::new(PostgresPersons::new(
                Arc::clone(&pools.persons_reader),
                Arc::clone(&pools.persons_writer),
            )),
            cookieless: Arc::new(CookielessStore::new(
                cookieless.unwrap_or_else(|| Arc::clone(&shared)),
                !settings.skip_writes,
            )),
            shared,
            dedicated,
            credentials: known_credentials,
            skip_writes: settings.skip_writes,
            clients,
            entries,
            objects,
            pools,
            definitions,
            source,
            retries,
            config: Arc::new(settings.config),
            trackers,
            warnings,
        })
    }

    /// Definitions.
    #[must_use]
    pub fn projects(&self) -> Arc<TieredSource> {
        Arc::clone(&self.source)
    }

    /// Persons, groups and continuity rows.
    #[must_use]
    pub fn persons(&self) -> Arc<PostgresPersons> {
        Arc::clone(&self.persons)
    }

    /// Salts and identify counts.
    #[must_use]
    pub fn cookieless(&self) -> Arc<CookielessStore> {
        Arc::clone(&self.cookieless)
    }

    /// Who is over a limit, on the shared Redis.
    #[must_use]
    pub fn quota_limits(&self) -> Arc<RedisLimits> {
        Arc::new(RedisLimits::new(Arc::clone(&self.shared)))
    }

    /// Usage counts, on the shared Redis. For one caller: it learns what the server allows.
    #[must_use]
    pub fn usage(&self) -> Arc<RedisUsage> {
        Arc::new(RedisUsage::new(Arc::clone(&self.shared)))
    }

    /// The pools, for monitors.
    #[must_use]
    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    /// Sources that tell of an outage by their breaker alone: the pools and S3. The state now, by name.
    #[must_use]
    pub fn breakers(&self) -> Vec<(&'static str, BreakerState)> {
        let pools = self
            .pools
            .distinct()
            .map(|pool| (pool.name(), pool.breaker_state()));
        pools.chain([("s3", self.objects.breaker_state())]).collect()
    }

    /// The retries of this process.
    #[must_use]
    pub fn retries(&self) -> Arc<RetryBudget> {
        Arc::clone(&self.retries)
    }

    /// The Redis clients, for reports of their state.
    #[must_use]
    pub fn clients(&self) -> &[Arc<Client>] {
        &self.clients
    }

    /// The shared Redis.
    #[must_use]
    pub fn shared(&self) -> &Client {
        &self.shared
    }

    /// Settings that are not used, and why.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where entries are read, in one line.
    #[must_use]
    pub fn sources(&self) -> String {
        self.entries.sources()
    }

    /// Tracking connections, for reports.
    #[must_use]
    pub fn trackers(&self) -> &[Tracker] {
        &self.trackers
    }

    /// The builder over these stores.
    #[must_use]
    pub fn warmer(&self) -> Warmer {
        Warmer {
            database: Arc::clone(&self.definitions) as _,
            cache: Arc::clone(&self.entries) as _,
            objects: Arc::clone(&self.objects) as _,
            config: Arc::clone(&self.config),
        }
    }

    /// Asks every dependency once, all at the same time, none for longer than `limit`. The future keeps what it needs.
    pub fn ask(&self, limit: Duration) -> impl Future<Output = Vec<SourceReport>> + Send + 'static {
        let mut asked: Vec<BoxFuture<'static, SourceReport>> = Vec::new();
        for client in &self.clients {
            asked.push(ask_endpoint(Arc::clone(client), false, limit));
            if client.endpoints().count() > 1 {
                asked.push(ask_endpoint(Arc::clone(client), true, limit));
            }
        }
        for pool in self.pools.distinct() {
            let (pool, name) = (Arc::clone(pool), pool.name());
            asked.push(ask(name, limit, async move {
                ping(&pool).await.map_err(|error| error.to_string())
            }));
        }
        let objects = Arc::clone(&self.objects);
        asked.push(ask("s3", limit, async move {
            objects.check().await.map_err(|error| error.to_string())
        }));
        together(asked)
    }
}

/// One tracker for each server that entries are read from, and the queue that they fill.
fn follow(
    entries: &RedisEntries,
    heartbeat: Option<Duration>,
    endpoint: EndpointSettings,
    credentials: &Arc<CredentialCache>,
) -> (Arc<ChangeQueue>, Vec<Tracker>) {
    let Some(heartbeat) = heartbeat else {
        return (
            Arc::new(ChangeQueue::new(Arc::new(PushClock::new(0)))),
            Vec::new(),
        );
    };
    let followed: Vec<_> = entries.mode().followed().iter().zip(entries.followed()).collect();
    let queue = Arc::new(ChangeQueue::new(Arc::new(PushClock::new(followed.len()))));
    let settings = TrackingSettings {
        heartbeat,
        connection_timeout: endpoint.connection_timeout,
        response_timeout: endpoint.response_timeout,
    };
    let start = |(at, (server, client)): (usize, &(&Server, &Arc<Client>))| {
        // Shared results of authentication are on the dedicated server alone.
        let credentials = (**server == Server::Dedicated).then(|| Arc::clone(credentials));
        let url = client.reader().url().clone();
        Tracker::start_with(at, url, settings, Arc::clone(&queue), credentials)
    };
    let trackers = followed.iter().enumerate().map(start).collect();
    (queue, trackers)
}

fn ask_endpoint(client: Arc<Client>, reader: bool, limit: Duration) -> BoxFuture<'static, SourceReport> {
    let name = if reader {
        client.reader().name()
    } else {
        client.writer().name()
    };
    ask(name, limit, async move {
        let endpoint = if reader { client.reader() } else { client.writer() };
        match endpoint.first_attempt().await {
            EndpointState::Failed(error) => Err(error.to_string()),
            EndpointState::Connecting | EndpointState::Connected => Ok(()),
        }
    })
}

fn ask(
    source: &'static str,
    limit: Duration,
    answer: impl Future<Output = Result<(), String>> + Send + 'static,
) -> BoxFuture<'static, SourceReport> {
    Box::pin(async move {
        let problem = match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer.err(),
            Err(_) => Some("no answer in time".to_owned()),
        };
        SourceReport {
            source: source.to_owned(),
            problem,
        }
    })
}

/// What a question to one pool brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolReport {
    /// Label `pool` of metrics.
    pub pool: &'static str,
    /// `None`: it answers.
    pub problem: Option<PoolProblem>,
    /// How long the answer took.
    pub took: Duration,
}

/// Why a pool does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolProblem {
    /// A connection was had, and did not work.
    pub connected: bool,
    /// In the library's words.
    pub detail: String,
}

/// Asks every pool at the same time, none for longer than `limit`; in the order of `http.md` 14.
pub async fn ask_pools(pools: &Pools, limit: Duration) -> Vec<PoolReport> {
    let asked = pools.distinct().map(|pool| async move {
        let began = Instant::now();
        let problem = match tokio::time::timeout(limit, ping(pool)).await {
            Ok(answer) => answer.err().map(|error| PoolProblem {
                connected: matches!(
                    error,
                    PostgresError::AnswerTimeout | PostgresError::Statement(_) | PostgresError::Row(_)
                ),
                detail: error.to_string(),
            }),
            Err(_) => Some(PoolProblem {
                connected: false,
                detail: "no answer in time".to_owned(),
            }),
        };
        PoolReport {
            pool: pool.name(),
            problem,
            took: began.elapsed(),
        }
    });
    together(asked.collect()).await
}

/// Runs a few futures at the same time, in one task, and keeps their order.
async fn together<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *output = Some(ready),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

fn urls(
    variable: &'static str,
    writer: Option<&str>,
    reader: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<Option<ClientUrls>, ConnectError> {
    match ClientUrls::parse(writer, reader).map_err(|error| ConnectError::Redis(variable, error))? {
        Ok(urls) => Ok(urls),
        Err(warning) => {
            warnings.push(format!("{variable}: {warning}"));
            Ok(None)
        }
    }
}
