//! The parts around one service: Redis servers of its own, a database, objects; and what is stored in them.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use feature_flags::hypercache::EntryKey;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::definitions::{OWNERS, Team, stored};
use crate::object_storage::{BUCKET, ObjectStorage};
use crate::servers::Servers;

/// Longest wait for a recovery that nobody announces.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// For tests that leave PostgreSQL running; it ends with the process.
fn shared_postgres() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| Servers::start(&["postgres"]))
}

/// Everything that a service is connected to.
pub struct World {
    runtime: Runtime,
    /// Those of this test alone.
    pub servers: Servers,
    pub objects: Mutex<ObjectStorage>,
    pub database_url: String,
}

impl World {
    /// With these servers. A test that stops PostgreSQL names it; others share one, with a database of their own.
    pub fn new(names: &[&str]) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let servers = Servers::start(names);
        let database_url = if names.contains(&"postgres") {
            servers.database()
        } else {
            shared_postgres().database()
        };
        let objects = Mutex::new(runtime.block_on(ObjectStorage::start()));
        let world = Self {
            runtime,
            servers,
            objects,
            database_url,
        };
        world.sql(OWNERS);
        world
    }

    async fn connect(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.database_url, NoTls)
            .await
            .expect("the database answers");
        tokio::spawn(connection);
        client
    }

    /// Runs statements; the first column of every row, as text.
    pub fn sql(&self, sql: &str) -> Vec<String> {
        self.runtime.block_on(async {
            let client = self.connect().await;
            let messages = client.simple_query(sql).await;
            let rows = messages.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            rows.iter()
                .filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
                    _ => None,
                })
                .collect()
        })
    }

    /// Keeps a table from everybody else until the answer is dropped or released.
    pub fn lock(&self, table: &str) -> Locked<'_> {
        let client = self.runtime.block_on(async {
            let client = self.connect().await;
            let sql = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
            client.batch_execute(&sql).await.expect("the lock");
            client
        });
        Locked { world: self, client }
    }

    /// Writes a key of a Redis server.
    pub fn put_redis(&self, server: &str, key: &str, bytes: &[u8]) {
        let mut connection = self.redis(server);
        let set: redis::RedisResult<()> = redis::cmd("SET").arg(key).arg(bytes).query(&mut connection);
        set.expect("SET");
    }

    /// A connection to a Redis server.
    pub fn redis(&self, server: &str) -> redis::Connection {
        redis::Client::open(self.servers.url(server))
            .and_then(|client| client.get_connection())
            .expect("redis answers")
    }

    /// Writes an object.
    pub fn put_object(&self, key: &EntryKey, text: &str) {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let path = objects.directory.path().join(BUCKET).join(key.base());
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("an object");
    }

    pub fn object_address(&self) -> SocketAddr {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let address = objects.endpoint.strip_prefix("http://").expect("an endpoint");
        address.parse().expect("an address")
    }

    pub fn stop_objects(&self) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime.block_on(objects.stop());
    }

    pub fn restart_objects(&self) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime.block_on(objects.restart());
    }

    /// Team and flags in a Redis server; the flag names the server.
    pub fn in_redis(&self, server: &str, team: Team) {
        self.put_redis(server, &team.team_key().redis(), &stored(&team.metadata()));
        self.flags_in_redis(server, team, &team.entry(&server.replace('-', "_")));
    }

    pub fn flags_in_redis(&self, server: &str, team: Team, entry: &Value) {
        self.put_redis(server, &team.flags_key().redis(), &stored(&entry.to_string()));
    }

    /// Team and flags as objects.
    pub fn in_s3(&self, team: Team) {
        self.put_object(&team.team_key(), &team.metadata());
        self.put_object(&team.flags_key(), &team.entry("s3").to_string());
    }

    /// Team and flags as rows.
    pub fn in_postgres(&self, team: Team) {
        let (id, token) = (team.0, team.token());
        self.sql(&format!(
            "INSERT INTO posthog_team (id, uuid, organization_id, project_id, name, api_token) VALUES
             ({id}, gen_random_uuid(), '0191aaaa-0000-7000-8000-000000000001', 1, 'Shop', '{token}')"
        ));
        for flag in team.flags("postgres") {
            self.flag_in_postgres(&flag);
        }
    }

    pub fn flag_in_postgres(&self, flag: &Value) {
        let (id, team, key) = (&flag["id"], &flag["team_id"], &flag["key"]);
        let key = key.as_str().expect("a key");
        let (filters, continuity) = (&flag["filters"], &flag["ensure_experience_continuity"]);
        self.sql(&format!(
            "INSERT INTO posthog_featureflag (id, team_id, key, filters, ensure_experience_continuity)
             VALUES ({id}, {team}, '{key}', '{filters}', {continuity})"
        ));
    }

    /// A team in all three tiers.
    pub fn everywhere(&self, team: Team) {
        self.in_redis("redis", team);
        self.in_s3(team);
        self.in_postgres(team);
    }
}

/// A table that only its holder can use.
pub struct Locked<'w> {
    world: &'w World,
    client: Client,
}

impl Locked<'_> {
    pub fn release(self) {
        let done = self.world.runtime.block_on(self.client.batch_execute("ROLLBACK"));
        done.expect("the lock was held");
    }
}

/// Asks until the answer is there.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}
