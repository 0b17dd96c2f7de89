//! Servers of our own, each in a temporary directory, and databases on them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use feature_flags::store::postgres::{PoolSettings, Pools, PoolsSettings, PostgresUrl};
use tokio_postgres::{Client, NoTls};

/// Of every database here.
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/schema.sql");

/// Ends server and directory when its input ends, also when this process is killed. The server refuses to run as root.
const SUPERVISOR: &str = r#"
directory=$1 port=$2; shift 2
if [ "$(id -u)" = 0 ]; then as="setpriv --reuid=postgres --regid=postgres --clear-groups"; fi
$as "$bin/postgres" -D "$directory/data" -p "$port" "$@" 2>&1 &
pid=$!
echo "pid $pid"
read -r keep
children=$(cat /proc/$pid/task/$pid/children 2>/dev/null)
kill -9 $pid $children 2>/dev/null
wait $pid
[ "$keep" = keep ] || rm -rf "$directory"
"#;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// For tests that leave it running.
static SHARED: LazyLock<Server> = LazyLock::new(|| Server::start(&[]));

/// A running server.
pub struct Server {
    directory: PathBuf,
    pub port: u16,
    options: Vec<String>,
    running: Mutex<Option<Running>>,
}

struct Running {
    supervisor: Child,
    input: ChildStdin,
    pid: u32,
}

fn bin() -> String {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed")
        .map(|entry| entry.expect("an entry").path().join("bin"))
        .collect();
    versions.sort();
    versions.pop().expect("a version").display().to_string()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout == b"0\n"
}

/// A command as the user that may run the server.
pub fn as_server_user(program: &str) -> Command {
    if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]);
        command
    } else {
        Command::new(program)
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Server {
    /// A server with the database `template`, which has the schema. `options` as on its command line.
    pub fn start(options: &[String]) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("flags-postgres-")
            .tempdir()
            .expect("a directory")
            .keep();
        Self::start_in(directory, options)
    }

    /// The same in a directory that exists, for files that the options name.
    pub fn start_in(directory: PathBuf, options: &[String]) -> Self {
        if is_root() {
            run(Command::new("chown")
                .args(["-R", "postgres:postgres"])
                .arg(&directory));
        }
        let bin = bin();
        let mut initdb = as_server_user(&format!("{bin}/initdb"));
        initdb.args([
            "-N",
            "-U",
            "posthog",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-D",
        ]);
        run(initdb.arg(directory.join("data")).current_dir(&directory));
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let server = Self {
            directory,
            port,
            options: options.to_vec(),
            running: Mutex::new(None),
        };
        server.resume_from_stop();
        let psql = |database: &str, arguments: &[&str]| {
            let mut command = Command::new(format!("{bin}/psql"));
            command.args([
                "-qX",
                "-h",
                "127.0.0.1",
                "-U",
                "posthog",
                "-v",
                "ON_ERROR_STOP=1",
                "-p",
            ]);
            run(command
                .arg(port.to_string())
                .args(["-d", database])
                .args(arguments));
        };
        psql("postgres", &["-c", "CREATE DATABASE template"]);
        psql("template", &["-f", SCHEMA]);
        server
    }

    /// Starts the server again on its data and port; returns when it accepts connections.
    pub fn resume_from_stop(&self) {
        // Backends of a killed server notice its death by themselves; until the last has, a new one refuses to start.
        let started = (0..100).any(|_| self.started());
        assert!(started, "the server does not start");
    }

    fn started(&self) -> bool {
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .arg(&self.directory)
            .arg(self.port.to_string())
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
                "-c",
                "fsync=off",
                "-c",
                "shared_buffers=16MB",
                "-c",
                "max_connections=150",
            ])
            .args(&self.options)
            .env("bin", bin())
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let mut input = supervisor.stdin.take().expect("piped");
        let mut lines = BufReader::new(supervisor.stdout.take().expect("piped")).lines();
        let pid = loop {
            let line = lines.next().expect("the server starts").expect("text");
            if let Some(pid) = line.strip_prefix("pid ") {
                break pid.parse().expect("a number");
            }
        };
        // The server writes its log to the supervisor's standard output.
        let mut seen = String::new();
        loop {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("the server ended: {seen}"))
                .expect("text");
            if line.contains("FATAL") && !line.contains("starting up") {
                // The supervisor cleans up nothing that is wanted again.
                let _ = input.write_all(b"keep\n");
                let _ = supervisor.wait();
                return false;
            }
            if line.contains("ready to accept connections") {
                break;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        std::thread::spawn(move || lines.for_each(drop));
        *self.lock() = Some(Running {
            supervisor,
            input,
            pid,
        });
        true
    }

    /// SIGKILL to all of it; its data stay.
    pub fn kill(&self) {
        let Running {
            mut supervisor,
            mut input,
            ..
        } = self.lock().take().expect("it runs");
        input.write_all(b"keep\n").expect("the supervisor reads");
        supervisor.wait().expect("the supervisor ends");
    }

    /// SIGSTOP or SIGCONT to all of it.
    pub fn signal(&self, signal: &str) {
        let pid = self.lock().as_ref().expect("it runs").pid;
        // First the one that would start more.
        run(Command::new("kill").arg(signal).arg(pid.to_string()));
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(children).expect("the server lives");
        for child in children.split_whitespace() {
            // It may just have ended.
            let _ = Command::new("kill").arg(signal).arg(child).output();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://posthog@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }

    /// A fresh database with the schema.
    pub async fn database(&self) -> Database {
        // One at a time: the template must not be in use.
        static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = TURN.lock().await;
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let admin = client(&self.url("postgres")).await;
        admin
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template"))
            .await
            .expect("a database");
        let url = self.url(&name);
        Database {
            admin: client(&url).await,
            url,
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut running) = self.lock().take() {
            drop(running.input);
            // It has ended, or cannot be waited for.
            let _ = running.supervisor.wait();
        } else {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// A database, and a connection to it that no pool knows.
pub struct Database {
    pub admin: Client,
    pub url: String,
}

/// A database on the server that tests share.
pub async fn database() -> Database {
    SHARED.database().await
}

pub async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("the server answers");
    tokio::spawn(connection);
    client
}

pub fn settings(url: &str) -> PoolSettings {
    PoolSettings {
        url: PostgresUrl::parse(url).expect("a URL"),
        connections_max: 4,
        connections_min: 0,
        acquire_limit: Duration::from_secs(5),
        idle_limit: None,
        lifetime_max: PoolSettings::LIFETIME_MAX,
        statement_timeout: Duration::from_secs(5),
        test_before_acquire: false,
    }
}

/// Pools over one database, reader and writer apart.
pub fn pools(settings: PoolSettings) -> Pools {
    Pools::open(PoolsSettings {
        non_persons_reader: settings.clone(),
        non_persons_writer: settings,
        persons: None,
    })
    .expect("pools")
}

impl Database {
    pub async fn run(&self, sql: &str) {
        self.admin.batch_execute(sql).await.expect(sql);
    }

    /// Every first column of the rows, as text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.admin.simple_query(sql).await.expect(sql);
        rows.iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
                _ => None,
            })
            .collect()
    }
}

/// Persons 1 (`known`, `known-phone`) and 2 (`anon`) of team 7; groups; membership.
pub const PEOPLE: &str = r#"
INSERT INTO posthog_person (id, team_id, uuid, created_at, properties) VALUES
  (1, 7, gen_random_uuid(), '2024-05-01T14:00:00.25+02:00', '{"plan": "pro", "score": 5.0}'),
  (2, 7, gen_random_uuid(), '2024-05-02T00:00:00Z', '"text"'),
  (3, 8, gen_random_uuid(), '2024-05-02T00:00:00Z', '{}');
INSERT INTO posthog_persondistinctid (team_id, distinct_id, person_id) VALUES
  (7, 'known', 1), (7, 'known-phone', 1), (7, 'anon', 2), (8, 'elsewhere', 3);
INSERT INTO posthog_cohortpeople (cohort_id, person_id) VALUES (71, 1), (71, 1), (72, 2), (73, 1);
INSERT INTO posthog_group (team_id, group_type_index, group_key, group_properties) VALUES
  (7, 0, 'acme', '{"tier": "gold"}'), (7, 1, 'apollo', '{"size": 5.0}'), (7, 2, 'odd', '[1]');
"#;
