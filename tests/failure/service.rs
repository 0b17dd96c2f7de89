//! A whole `serve` process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::client::Client;
use crate::definitions::{Team, stored};
use crate::world::{World, until};

/// Settings by name.
pub type Settings = BTreeMap<&'static str, String>;

/// A running service. Killed when dropped.
pub struct Service {
    process: Child,
    pub address: SocketAddr,
    errors: Arc<Mutex<Vec<String>>>,
    request_lines: Arc<AtomicU64>,
    reader: Option<JoinHandle<()>>,
    told_to_end: AtomicBool,
}

/// Settings that connect a service to a world; the rest are defaults.
pub fn settings(world: &World) -> Settings {
    let objects = world.objects.lock().unwrap_or_else(PoisonError::into_inner);
    Settings::from([
        ("ADDRESS", "127.0.0.1:0".to_owned()),
        ("REDIS_URL", world.servers.url("redis")),
        ("READ_DATABASE_URL", world.database_url.clone()),
        ("WRITE_DATABASE_URL", world.database_url.clone()),
        ("OBJECT_STORAGE_BUCKET", crate::object_storage::BUCKET.to_owned()),
        ("OBJECT_STORAGE_ENDPOINT", objects.endpoint.clone()),
        ("AWS_ACCESS_KEY_ID", objects.access_key.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", objects.secret_key.to_owned()),
    ])
}

fn command(settings: &Settings) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feature-flags"));
    command.arg("serve").env_clear().envs(settings);
    command
}

/// A message of the process, its level first; `None` for the line of a request. What is no log line is taken as it is.
fn message(line: &str) -> Option<String> {
    let Ok(parsed) = serde_json::from_str::<serde_json::Value>(line) else {
        return Some(line.to_owned());
    };
    let level = match parsed["level"].as_str()? {
        "WARN" => "warning".to_owned(),
        level => level.to_ascii_lowercase(),
    };
    let text = parsed["message"].as_str()?;
    (text != "canonical_log_line").then(|| format!("{level}: {text}"))
}

/// Runs a service that is expected to end by itself.
pub fn run(settings: &Settings) -> Output {
    command(settings).output().expect("the command starts")
}

impl Service {
    /// Starts one and returns when it listens; its stores may not be connected yet.
    pub fn listening(settings: &Settings) -> Self {
        let mut process = command(settings)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let errors = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(process.stderr.take().expect("piped"));
        let noted = Arc::clone(&errors);
        let request_lines = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&request_lines);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                match message(&line) {
                    Some(said) => noted.lock().unwrap_or_else(PoisonError::into_inner).push(said),
                    None => _ = counted.fetch_add(1, Ordering::Relaxed),
                }
            }
        });
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let address = first
            .strip_prefix("feature-flags listening on http://")
            .unwrap_or_else(|| panic!("{first:?}, {errors:?}"))
            .parse()
            .expect("an address");
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            address,
            errors,
            request_lines,
            reader: Some(reader),
            told_to_end: AtomicBool::new(false),
        }
    }

    /// How many lines on standard error contain a text.
    pub fn said(&self, text: &str) -> usize {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().filter(|line| line.contains(text)).count()
    }

    /// Starts one with these settings changed, and returns when it reads from Redis.
    pub fn start(world: &World, changes: &[(&'static str, &str)]) -> Self {
        let mut settings = settings(world);
        settings.extend(changes.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let server = match settings.get("FLAGS_REDIS_ENABLED") {
            Some(_) => "flags-redis",
            None => "redis",
        };
        let service = Self::listening(&settings);
        // Each in Redis alone: before the connection is there, a probe's team is unknown, and stays so for a while.
        let mut probe = 1000;
        until("the connection to Redis", || {
            probe += 1;
            let team = Team(probe);
            world.put_redis(server, &team.team_key().redis(), &stored(&team.metadata()));
            world.flags_in_redis(server, team, &team.entry("redis"));
            (service.ask(team).status == 200).then_some(())
        });
        service
    }

    /// Evaluates all flags of a team for `ada` of `acme`.
    pub fn ask(&self, team: Team) -> Answer {
        self.ask_with(team, json!({}))
    }

    /// The same with other members of the body.
    pub fn ask_with(&self, team: Team, members: Value) -> Answer {
        let mut body =
            json!({ "token": team.token(), "distinct_id": "ada", "groups": { "organization": "acme" } });
        if let (Value::Object(body), Value::Object(members)) = (&mut body, members) {
            body.extend(members);
        }
        self.post("/flags?v=2", &body, &[])
    }

    pub fn post(&self, path: &str, body: &Value, headers: &[&str]) -> Answer {
        let start = Instant::now();
        let answer = Client::connect(self.address).request(
            &format!("POST {path}"),
            headers,
            body.to_string().as_bytes(),
        );
        Answer::new(&answer, start.elapsed())
    }

    pub fn get(&self, path: &str) -> Answer {
        let start = Instant::now();
        let answer = Client::connect(self.address).request(&format!("GET {path}"), &[], b"");
        Answer::new(&answer, start.elapsed())
    }

    /// Lines on standard error so far.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells it to end in order.
    pub fn terminate(&self) {
        self.told_to_end.store(true, Ordering::Relaxed);
        let id = self.process.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    /// Waits for its end, and for the last that it said: the exit code.
    pub fn ended(&mut self) -> Option<i32> {
        let code = self.process.wait().expect("it was started").code();
        if let Some(reader) = self.reader.take() {
            reader.join().expect("lines are read");
        }
        code
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        self.told_to_end.store(true, Ordering::Relaxed);
        self.process.kill().expect("it was started");
    }

    /// Lines of requests in its log so far; all of them once it has ended.
    pub fn request_lines(&self) -> u64 {
        self.request_lines.load(Ordering::Relaxed)
    }

    /// Whether it is the process that was started.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let ended = !self.is_running() && !self.told_to_end.load(Ordering::Relaxed);
        let _ = self.process.kill();
        let _ = self.process.wait();
        if ended && !std::thread::panicking() {
            panic!("the service ended by itself: {:?}", self.errors());
        }
    }
}
