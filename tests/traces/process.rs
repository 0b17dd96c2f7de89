//! The program as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Answer, Client};

/// Far above anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

pub const TEAM: i32 = 9;
pub const TOKEN: &str = "phc_traced_project_token";
/// A person that is stored, with a property that one flag wants.
pub const PERSON: &str = "stored-person-id";

/// A project in which one flag needs a stored person, and one may have continuity.
pub fn document(continuity: bool) -> Value {
    json!({
        "team": { "id": TEAM, "api_token": TOKEN, "name": "Traces" },
        "flags": [
            { "id": 1, "key": "always", "active": true, "filters": { "groups": [{}] } },
            { "id": 2, "key": "pro", "active": true, "ensure_experience_continuity": continuity,
              "filters": { "groups": [{ "rollout_percentage": 50, "properties": [
                { "key": "plan", "type": "person", "operator": "exact", "value": "pro" }] }] } },
        ],
        "persons": [{ "distinct_ids": [PERSON], "properties": { "plan": "pro" } }],
    })
}

/// A server that runs until this is dropped.
pub struct Process {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    _folder: Option<tempfile::TempDir>,
}

/// The program with nothing of this process's environment.
pub fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feature-flags"));
    command
        .args(arguments)
        .env_clear()
        .env("ADDRESS", "127.0.0.1:0")
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

pub fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(arguments, variables)
        .output()
        .expect("the program starts")
}

impl Process {
    /// `dev` with the document.
    pub fn dev(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project.json");
        std::fs::write(&project, document(false).to_string()).unwrap();
        let mut process = Self::start(command(
            &["dev", "--project", project.to_str().unwrap()],
            variables,
        ));
        process._folder = Some(folder);
        process
    }

    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(Ok(first)) = said.next() else {
            panic!("it did not start: {:?}", lines.iter().collect::<Vec<_>>());
        };
        std::thread::spawn(move || said.for_each(drop));
        let address = first.strip_prefix("feature-flags listening on http://").unwrap();
        Self {
            address: address.parse().unwrap(),
            child,
            lines,
            _folder: None,
        }
    }

    /// Posts to `/flags?v=2` under a request id.
    pub fn flags(&self, id: &str, headers: &[&str], body: &Value) -> Answer {
        let id = format!("x-request-id: {id}");
        let mut all = vec!["content-type: application/json", &id];
        all.extend_from_slice(headers);
        Client::connect(self.address).request("POST /flags?v=2", &all, body.to_string().as_bytes())
    }

    /// The same, without waiting for the answer.
    pub fn abandon(&self, id: &str, body: &Value) -> Client {
        let body = body.to_string();
        let mut client = Client::connect(self.address);
        client.send(format!(
            "POST /flags?v=2 HTTP/1.1\r\nhost: flags.test\r\nx-request-id: {id}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ));
        client
    }

    /// The same, for the project; it needs nothing stored.
    pub fn ask(&self, id: &str, headers: &[&str]) -> Answer {
        let body =
            json!({ "token": TOKEN, "distinct_id": "somebody", "person_properties": { "plan": "free" } });
        self.flags(id, headers, &body)
    }

    /// The same; it needs the stored person.
    pub fn ask_stored(&self, id: &str) -> Answer {
        self.flags(id, &[], &json!({ "token": TOKEN, "distinct_id": PERSON }))
    }

    pub fn get(&self, path: &str, headers: &[&str]) -> Answer {
        Client::connect(self.address).request(&format!("GET {path}"), headers, b"")
    }

    /// A line of the log that has this text.
    pub fn line(&self, text: &str) -> String {
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no line with {text}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The value of a metric, once it is not zero.
    pub fn metric(&self, series: &str) -> f64 {
        let started = Instant::now();
        loop {
            let answer = self.get("/metrics", &[]);
            let text = String::from_utf8(answer.body).unwrap();
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
            match line {
                Some(value) if value > 0.0 => return value,
                _ => assert!(started.elapsed() < PATIENCE, "{series} stays zero"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Tells the process to end; how long that took.
    pub fn end(mut self) -> Duration {
        let began = Instant::now();
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        began.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
