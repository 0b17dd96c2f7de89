//! Stores that work, the settings that name them, and the program run with these settings changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::NoTls;

use crate::mmdb::MmdbWriter;
use crate::object_storage::{BUCKET, ObjectStorage};
use crate::servers::Servers;

/// Settings by name.
pub type Settings = BTreeMap<String, String>;

/// Servers, a directory to run in, and a port that somebody else listens on.
pub struct World {
    runtime: Runtime,
    pub servers: Servers,
    pub objects: ObjectStorage,
    pub database_url: String,
    /// The program runs here, so that files have short names.
    pub directory: TempDir,
}

impl World {
    pub fn start(names: &[&str]) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let servers = Servers::start(names);
        let database_url = servers.database();
        let objects = runtime.block_on(ObjectStorage::start());
        let directory = TempDir::new().expect("a directory");
        write(
            directory.path(),
            "share/GeoLite2-City.mmdb",
            MmdbWriter::city(6, 28).bytes(),
        );
        Self {
            runtime,
            servers,
            objects,
            database_url,
            directory,
        }
    }

    /// Settings with which everything can be used, on any machine.
    pub fn settings(&self) -> Settings {
        let pairs = [
            ("ADDRESS", "127.0.0.1:0"),
            ("MAX_CONNECTIONS", "10"),
            ("REDIS_URL", &self.servers.url("redis")),
            ("READ_DATABASE_URL", &self.database_url),
            ("WRITE_DATABASE_URL", &self.database_url),
            ("OBJECT_STORAGE_BUCKET", BUCKET),
            ("OBJECT_STORAGE_ENDPOINT", &self.objects.endpoint),
            ("AWS_ACCESS_KEY_ID", self.objects.access_key),
            ("AWS_SECRET_ACCESS_KEY", self.objects.secret_key),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str], settings: &Settings) -> Output {
        self.command(arguments, settings)
            .output()
            .expect("the program starts")
    }

    /// Runs `check` with so many open files allowed.
    pub fn run_with_files(&self, files: u32, settings: &Settings) -> Output {
        let mut shell = Command::new("/bin/sh");
        let program = env!("CARGO_BIN_EXE_feature-flags");
        shell.args(["-c", &format!("ulimit -Sn {files} && exec {program} check")]);
        shell
            .env_clear()
            .envs(settings)
            .current_dir(self.directory.path());
        shell.stdin(Stdio::null()).output().expect("the shell starts")
    }

    /// The program with these settings and nothing else of this process's environment.
    pub fn command(&self, arguments: &[&str], settings: &Settings) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_feature-flags"));
        command
            .args(arguments)
            .env_clear()
            .envs(settings)
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// A file in the directory that the program runs in.
    pub fn file(&self, name: &str, text: &str) {
        write(self.directory.path(), name, text);
    }

    /// The URL of the database with other parts.
    pub fn database(&self, user: &str, password: &str, database: Option<&str>) -> String {
        let (_, own) = self.database_url.rsplit_once('/').expect("a database");
        let port = self.servers.port("postgres");
        format!(
            "postgres://{user}:{password}@127.0.0.1:{port}/{}",
            database.unwrap_or(own)
        )
    }

    /// Runs statements in the database.
    pub fn sql(&self, statements: &str) {
        self.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&self.database_url, NoTls)
                .await
                .expect("PostgreSQL answers");
            let driver = tokio::spawn(connection);
            client.batch_execute(statements).await.expect("statements");
            driver.abort();
        });
    }

    /// Runs a command on a Redis server.
    pub fn redis(&self, name: &str, words: &[&str]) {
        let url = self.servers.url(name);
        self.runtime.block_on(async {
            let client = redis::Client::open(url).expect("a URL");
            let mut connection = client
                .get_multiplexed_async_connection()
                .await
                .expect("Redis answers");
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            command
                .query_async::<()>(&mut connection)
                .await
                .expect("it accepts the command");
        });
    }
}

fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().expect("below the directory")).expect("made");
    std::fs::write(path, text).expect("written");
}
