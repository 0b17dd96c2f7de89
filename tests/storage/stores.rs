//! Real PostgreSQL, Redis and S3 of one test, and stores opened over them.
//!
//! PostgreSQL takes seconds to start: one server for all tests, a database of its own for each. Redis announces changes
//! without a word about the database number, so each test has its own servers.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use feature_flags::hypercache::build::ConfigOptions;
use feature_flags::snapshot::TieredSettings;
use feature_flags::store::connected::{Connected, ConnectedSettings, RedisServers, Refreshed};
use feature_flags::store::import::ImportReport;
use feature_flags::store::postgres::import::{ImportTarget, import};
use feature_flags::store::postgres::{PoolSettings, PoolsSettings, PostgresUrl};
use feature_flags::store::redis::EndpointSettings;
use feature_flags::store::s3::S3Settings;
use redis::aio::MultiplexedConnection;
use serde_json::Value;

use crate::object_storage::{BUCKET, ObjectStorage};
use crate::servers::Servers;

/// Longest wait for what nobody announces.
const PATIENCE: Duration = Duration::from_secs(30);

fn postgres() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| Servers::start(&["postgres"]))
}

/// Which servers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Mode 1, reading from a replica.
    Shared,
    /// The same, with persons in a second database.
    PersonsApart,
    /// Mode 2: a dedicated Redis that is kept warm.
    DualWrite,
    /// Mode 3: a dedicated Redis alone.
    Dedicated,
}

impl Layout {
    /// Names of the primaries that snapshots are made from.
    pub fn followed(self) -> &'static [&'static str] {
        match self {
            Self::Shared | Self::PersonsApart => &["redis"],
            Self::DualWrite => &["redis", "flags-redis"],
            Self::Dedicated => &["flags-redis"],
        }
    }

    fn servers(self) -> &'static [&'static str] {
        match self {
            Self::Shared | Self::PersonsApart => &["redis", "redis-replica"],
            Self::DualWrite | Self::Dedicated => &["redis", "flags-redis"],
        }
    }
}

/// Empty servers of one test.
pub struct Stores {
    pub layout: Layout,
    pub redis: Servers,
    pub objects: ObjectStorage,
    pub database: String,
    pub persons_database: Option<String>,
}

impl Stores {
    pub async fn start(layout: Layout) -> Self {
        Self {
            layout,
            redis: Servers::start(layout.servers()),
            objects: ObjectStorage::start().await,
            database: postgres().database(),
            persons_database: (layout == Layout::PersonsApart).then(|| postgres().database()),
        }
    }

    /// As `serve` opens them with its defaults.
    pub fn settings(&self) -> ConnectedSettings {
        let dedicated = matches!(self.layout, Layout::DualWrite | Layout::Dedicated);
        let replica = matches!(self.layout, Layout::Shared | Layout::PersonsApart);
        let persons = self.persons_database.as_ref().map(|url| (pool(url), pool(url)));
        ConnectedSettings {
            redis: RedisServers {
                url: self.redis.url("redis"),
                reader_url: replica.then(|| self.redis.url("redis-replica")),
                flags_url: dedicated.then(|| self.redis.url("flags-redis")),
                flags_reader_url: None,
                flags_enabled: self.layout == Layout::Dedicated,
                definitions_dedicated: false,
                // A machine that runs many tests at once may be slow; how limits work is tested elsewhere.
                endpoint: EndpointSettings {
                    response_timeout: Some(Duration::from_secs(5)),
                    ..EndpointSettings::default()
                },
                compression: true,
            },
            cookieless_url: None,
            objects: S3Settings {
                bucket: BUCKET.to_owned(),
                region: "us-east-1".to_owned(),
                endpoint: Some(self.objects.endpoint.clone()),
            },
            pools: PoolsSettings {
                non_persons_reader: pool(&self.database),
                non_persons_writer: pool(&self.database),
                persons,
            },
            tiers: TieredSettings::default(),
            config: ConfigOptions::default(),
            repair_ttl: Duration::from_secs(600),
            skip_writes: false,
            heartbeat: Some(Duration::from_millis(500)),
        }
    }

    pub async fn open(&self) -> Connected {
        self.open_with(self.settings()).await
    }

    pub async fn open_with(&self, settings: ConnectedSettings) -> Connected {
        let connected =
            Connected::open_with(settings, Some(self.objects.credentials())).expect("settings are sound");
        for client in connected.clients() {
            for endpoint in client.endpoints() {
                endpoint.first_attempt().await;
            }
        }
        connected
    }

    /// Rows alone; no cache hears of them.
    pub async fn import_rows(&self, document: &Value) -> ImportReport {
        let target = ImportTarget {
            main_url: self.database.clone(),
            persons_url: self.persons_database.clone(),
        };
        import(target, document.to_string().as_bytes())
            .await
            .expect("the document is sound")
    }

    /// What `feature-flags import` does.
    pub async fn import(&self, connected: &Connected, document: &Value) -> Refreshed {
        let report = self.import_rows(document).await;
        let refreshed = connected.refresh(&report, &mut |_, _, _| ()).await;
        let refreshed = refreshed.expect("caches are up to date");
        assert_eq!(refreshed.summary.failed, 0, "{:?}", refreshed.summary.failures);
        self.replicate().await;
        refreshed
    }

    /// Changes rows of the main database.
    pub async fn sql(&self, statements: &str) {
        run(&self.database, statements).await;
    }

    /// Changes rows of the persons database.
    pub async fn persons_sql(&self, statements: &str) {
        run(
            self.persons_database.as_ref().unwrap_or(&self.database),
            statements,
        )
        .await;
    }

    /// How many continuity rows there are.
    pub async fn override_rows(&self) -> i64 {
        let url = self.persons_database.as_ref().unwrap_or(&self.database);
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .expect("PostgreSQL answers");
        tokio::spawn(connection);
        let count = "SELECT count(*) FROM posthog_featureflaghashkeyoverride";
        client.query_one(count, &[]).await.expect("it answers").get(0)
    }

    /// A connection to a Redis server by name.
    pub async fn redis(&self, name: &str) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis.url(name)).expect("a url");
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .expect("Redis answers")
    }

    /// Waits until the replica has all writes: `WAIT` speaks of those of its own connection, so it makes one.
    pub async fn replicate(&self) {
        if self.layout.servers().contains(&"redis-replica") {
            let mut redis = self.redis("redis").await;
            redis::cmd("SET")
                .arg("marker")
                .arg(1)
                .exec_async(&mut redis)
                .await
                .expect("SET");
            let count: i64 = redis::cmd("WAIT")
                .arg(1)
                .arg(0)
                .query_async(&mut redis)
                .await
                .expect("WAIT");
            assert_eq!(count, 1);
        }
    }
}

async fn run(url: &str, statements: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .expect("PostgreSQL answers");
    let connection = tokio::spawn(connection);
    client.batch_execute(statements).await.expect("sound statements");
    connection.abort();
}

fn pool(url: &str) -> PoolSettings {
    PoolSettings {
        url: PostgresUrl::parse(url).expect("a url"),
        connections_max: 4,
        connections_min: 0,
        acquire_limit: Duration::from_secs(10),
        idle_limit: None,
        lifetime_max: PoolSettings::LIFETIME_MAX,
        statement_timeout: Duration::from_secs(10),
        test_before_acquire: false,
    }
}

/// Asks until the answer is there. For states that nobody announces.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
