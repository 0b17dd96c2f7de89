//! The one place where commands meet the stores of a running PostHog.

use std::sync::Arc;
use std::time::Duration;

use feature_flags::config::{Config, Secret};
use feature_flags::context::geo::GeoSource;
use feature_flags::http::{AppState, DefinitionsStores, Stores};
use feature_flags::hypercache::build::ConfigOptions;
use feature_flags::snapshot::BoxFuture;
use feature_flags::store::connected::{Connected, ConnectedSettings, PoolReport, RedisServers, ask_pools};
use feature_flags::store::postgres::{PoolSettings, Pools, PoolsSettings, PostgresUrl};
use feature_flags::store::redis::EndpointSettings;
use feature_flags::store::s3::S3Settings;
use feature_flags::telemetry::{CheckProblem, CheckReport, StoreCheck, log};

use super::settings::tiered_settings;
use super::{Failure, service};

/// How long a dependency has to answer at start before it counts as away.
pub const REPORT_LIMIT: Duration = Duration::from_secs(3);

/// How long the follower of changes waits after its feed failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Opens the stores that the settings name.
///
/// # Errors
/// When a setting cannot be meant.
pub fn open(config: &Config) -> Result<Connected, Failure> {
    let connected = Connected::open(settings(config)?).map_err(|error| Failure::new(error.to_string()))?;
    for warning in connected.warnings() {
        log::warn(warning);
    }
    Ok(connected)
}

/// State of a process that serves from these stores, following changes of their entries.
pub fn app_state(config: &Config, connected: &Connected, geo: Option<Arc<dyn GeoSource>>) -> Arc<AppState> {
    let stores = Stores {
        projects: connected.projects(),
        definitions: DefinitionsStores {
            source: connected.projects(),
            rebuilds: connected.rebuilds(),
            auth: connected.auth(),
        },
        persons: connected.persons(),
        cookieless: connected.cookieless(),
        geo,
        retries: connected.retries(),
        check: Box::new(PoolsCheck(connected.pools().clone())),
    };
    let state = Arc::new(AppState::new(config, stores));
    tokio::spawn(state.follow_changes(RETRY_AFTER));
    service::clean_limits(config, &state);
    state
}

/// What the readiness probe asks.
struct PoolsCheck(Pools);

impl StoreCheck for PoolsCheck {
    fn check(&self, limit: Duration) -> BoxFuture<'_, Vec<CheckReport>> {
        Box::pin(async move {
            let reports = ask_pools(&self.0, limit).await.into_iter();
            let report = |PoolReport { pool, problem, took }: PoolReport| CheckReport {
                name: pool,
                problem: problem.map(|problem| CheckProblem {
                    summary: if problem.connected {
                        format!("{pool} connection test failed")
                    } else {
                        format!("{pool} pool unavailable")
                    },
                    detail: problem.detail,
                }),
                took,
            };
            reports.map(report).collect()
        })
    }
}

/// Where the stores are, and their bounds.
///
/// # Errors
/// When a setting cannot be meant.
pub fn settings(config: &Config) -> Result<ConnectedSettings, Failure> {
    let redis = &config.redis;
    let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    let endpoint = EndpointSettings {
        response_timeout: redis.response_timeout,
        connection_timeout: redis.connection_timeout,
        ..EndpointSettings::default()
    };
    let cookieless = &config.cookieless;
    Ok(ConnectedSettings {
        redis: RedisServers {
            url: redis.url.expose().to_owned(),
            reader_url: text(&redis.reader_url),
            flags_url: text(&redis.flags_url),
            flags_reader_url: text(&redis.flags_reader_url),
            flags_enabled: redis.flags_enabled,
            definitions_dedicated: redis.definitions_dedicated_enabled,
            endpoint,
            compression: redis.compression_enabled,
        },
        cookieless_url: cookieless
            .redis_host
            .as_ref()
            .map(|host| format!("redis://{host}:{}/", cookieless.redis_port)),
        objects: S3Settings {
            bucket: config.object_storage.bucket.clone(),
            region: config.object_storage.region.clone(),
            endpoint: config.object_storage.endpoint.clone(),
        },
        pools: pools(config)?,
        tiers: tiered_settings(config),
        config: ConfigOptions::from(&config.remote_config),
        repair_ttl: config.snapshot.read_repair_ttl,
        skip_writes: config.continuity.skip_writes,
        heartbeat: redis.client_tracking.then_some(config.snapshot.soft_ttl / 2),
    })
}

fn pools(config: &Config) -> Result<PoolsSettings, Failure> {
    let database = &config.database;
    let pool = |variable: &str, url: &Secret, statement: Option<Duration>, connections_min: u32| {
        let url = PostgresUrl::parse(url.expose()).map_err(|error| Failure::context(variable, error))?;
        Ok::<_, Failure>(PoolSettings {
            url,
            connections_max: database.connections_max,
            connections_min: connections_min.min(database.connections_max),
            acquire_limit: database.acquire_timeout,
            idle_limit: database.idle_timeout,
            lifetime_max: PoolSettings::LIFETIME_MAX,
            statement_timeout: statement.unwrap_or_default(),
            test_before_acquire: database.test_before_acquire,
        })
    };
    let reader_statement = database.persons_reader_statement_timeout;
    let writer_statement = database.writer_statement_timeout;
    // Routing is on when a persons URL is set; the other one then stands for both.
    let persons = match (&database.persons_read_url, &database.persons_write_url) {
        (None, None) => None,
        (read, write) => {
            let read_url = read.as_ref().or(write.as_ref()).unwrap_or(&database.read_url);
            let write_url = write.as_ref().or(read.as_ref()).unwrap_or(&database.write_url);
            let reader = pool(
                "PERSONS_READ_DATABASE_URL",
                read_url,
                reader_statement,
                database.persons_reader_connections_min,
            )?;
            let writer = pool(
                "PERSONS_WRITE_DATABASE_URL",
                write_url,
                writer_statement,
                database.persons_writer_connections_min,
            )?;
            Some((reader, writer))
        }
    };
    Ok(PoolsSettings {
        non_persons_reader: pool(
            "READ_DATABASE_URL",
            &database.read_url,
            database.non_persons_reader_statement_timeout,
            database.non_persons_reader_connections_min,
        )?,
        non_persons_writer: pool(
            "WRITE_DATABASE_URL",
            &database.write_url,
            writer_statement,
            database.non_persons_writer_connections_min,
        )?,
        persons,
    })
}
