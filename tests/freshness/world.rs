//! Stores, the builder that writes to them, and teams with one flag each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use feature_flags::hypercache::Entry;
use feature_flags::hypercache::warm::{WarmOptions, Warmer};
use feature_flags::resilience::RetryBudget;
use feature_flags::store::postgres::import::{ImportTarget, import};
use feature_flags::store::postgres::{PoolSettings, Pools, PoolsSettings, PostgresDefinitions, PostgresUrl};
use feature_flags::store::redis::{
    Client, ClientUrls, EndpointSettings, EndpointState, RedisEntries, SHARED,
};
use feature_flags::store::s3::{S3Settings, S3Store};
use redis::aio::MultiplexedConnection;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::object_storage::{BUCKET, ObjectStorage};
use crate::servers::Servers;
use crate::stamped::Stamped;

/// Times are measured: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

/// The key of every team's flag.
pub const FLAG: &str = "watched";

pub struct World {
    pub servers: Servers,
    pub database_url: String,
    pub objects: ObjectStorage,
    pub primary: MultiplexedConnection,
    pub replica: MultiplexedConnection,
    warmer: Warmer,
    stamped: Arc<Stamped>,
    rows: tokio_postgres::Client,
    runtime: Runtime,
    _turn: MutexGuard<'static, ()>,
}

/// A team's project token.
pub fn token(team: i32) -> String {
    format!("phc_fresh_{team}")
}

/// A team's secret.
pub fn secret(team: i32) -> String {
    format!("phs_fresh_{team}")
}

/// Whether the flag of this version is on: every change turns it.
pub fn is_on(version: i32) -> bool {
    version % 2 == 0
}

impl World {
    /// Stores without a team.
    pub fn start() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let servers = Servers::start(&["postgres", "redis", "redis-replica"]);
        let database_url = servers.database();
        let runtime = feature_flags::server::runtime::build(2).unwrap();
        let _inside = runtime.enter();
        let objects = runtime.block_on(ObjectStorage::start());
        let stamped = Arc::new(Stamped::new(runtime.block_on(entries(&servers))));
        let pools = pools(&database_url);
        let warmer = Warmer {
            database: Arc::new(PostgresDefinitions::new(
                Arc::clone(&pools.non_persons_reader),
                pools.persons_reader,
            )),
            cache: Arc::clone(&stamped) as _,
            objects: Arc::new(object_store(&objects)),
            config: Arc::default(),
        };
        let (rows, connection) = runtime
            .block_on(tokio_postgres::connect(&database_url, tokio_postgres::NoTls))
            .unwrap();
        runtime.spawn(connection);
        let connect = |name| runtime.block_on(connection_to(servers.url(name)));
        let (primary, replica) = (connect("redis"), connect("redis-replica"));
        drop(_inside);
        Self {
            servers,
            database_url,
            objects,
            primary,
            replica,
            warmer,
            stamped,
            rows,
            runtime,
            _turn: turn,
        }
    }

    /// Rows of these teams, each with version 1 of its flag. No entries.
    pub fn add_rows(&self, teams: impl IntoIterator<Item = i32>) {
        let document = |team: i32| {
            json!({
                "team": { "id": team, "api_token": token(team), "secret_api_token": secret(team) },
                "flags": [{ "id": 10_000 + team, "key": FLAG, "active": true, "version": 1,
                    "filters": { "groups": [{ "rollout_percentage": 0 }] } }],
            })
            .to_string()
        };
        let documents = teams.into_iter().map(document).collect::<Vec<_>>().join("\n");
        let target = ImportTarget {
            main_url: self.database_url.clone(),
            persons_url: None,
        };
        self.runtime
            .block_on(import(target, documents.as_bytes()))
            .unwrap();
    }

    /// Rows and entries.
    pub fn add_teams(&self, teams: impl IntoIterator<Item = i32> + Clone) {
        self.add_rows(teams.clone());
        for team in teams {
            self.build(team, Entry::Flags);
        }
    }

    /// Another version of the flag, in rows and then, through the builder, in Redis and S3. When Redis was given it.
    pub fn change(&self, team: i32, version: i32) -> Instant {
        let rollout = if is_on(version) { 100 } else { 0 };
        let statement = format!(
            "UPDATE posthog_featureflag SET version = {version}, \
             filters = '{{\"groups\": [{{\"rollout_percentage\": {rollout}}}]}}' WHERE team_id = {team}"
        );
        self.runtime
            .block_on(self.rows.batch_execute(&statement))
            .unwrap();
        self.build(team, Entry::Flags)
    }

    /// Builds the entries of a team; when this one was written.
    pub fn build(&self, team: i32, entry: Entry) -> Instant {
        let summary = self
            .runtime
            .block_on(self.warmer.team(team, WarmOptions::default()));
        assert_eq!(summary.failed, 0, "{:?}", summary.failures);
        self.stamped.taken(entry)
    }

    /// One command's reply as text.
    pub fn ask(&self, server: &MultiplexedConnection, words: &[&str]) -> String {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        let mut connection = server.clone();
        let reply: redis::Value = self
            .runtime
            .block_on(command.query_async(&mut connection))
            .unwrap();
        redis::from_redis_value(reply).unwrap_or_default()
    }
}

/// The builder's first tier, connected.
async fn entries(servers: &Servers) -> Arc<RedisEntries> {
    let urls = ClientUrls::parse(Some(&servers.url("redis")), None)
        .unwrap()
        .unwrap();
    let settings = EndpointSettings {
        // Not what is tested here.
        response_timeout: Some(Duration::from_secs(5)),
        ..EndpointSettings::default()
    };
    let client = Client::start(SHARED, urls.unwrap(), settings, Arc::new(RetryBudget::default()));
    assert_eq!(client.writer().first_attempt().await, EndpointState::Connected);
    Arc::new(RedisEntries::new(Arc::new(client), None, false, false))
}

fn pools(url: &str) -> Pools {
    let settings = PoolSettings {
        url: PostgresUrl::parse(url).unwrap(),
        connections_max: 2,
        connections_min: 0,
        acquire_limit: Duration::from_secs(5),
        idle_limit: None,
        lifetime_max: PoolSettings::LIFETIME_MAX,
        statement_timeout: Duration::from_secs(5),
        test_before_acquire: false,
    };
    Pools::open(PoolsSettings {
        non_persons_reader: settings.clone(),
        non_persons_writer: settings,
        persons: None,
    })
    .unwrap()
}

fn object_store(objects: &ObjectStorage) -> S3Store {
    let settings = S3Settings {
        bucket: BUCKET.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(objects.endpoint.clone()),
    };
    S3Store::new(settings, Arc::new(RetryBudget::default())).with_credentials(objects.credentials())
}

async fn connection_to(url: String) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}
