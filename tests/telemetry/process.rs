//! The program as a process whose log is read line by line, or not at all.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::exposition::Exposition;

/// Far above anything that a test waits for.
const HANG: Duration = Duration::from_secs(30);

pub const TEAM: i32 = 7;
pub const TOKEN: &str = "phc_telemetry_seven";

/// A server that runs until this is dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    lines: Receiver<String>,
    _folder: tempfile::TempDir,
}

/// A project that needs everything a request can need.
fn document() -> Value {
    json!({
        "team": { "id": TEAM, "api_token": TOKEN, "name": "Telemetry" },
        "group_type_mapping": { "0": "company" },
        "flags": [
            { "id": 1, "key": "always", "active": true, "filters": { "groups": [{}] } },
            { "id": 2, "key": "pro", "active": true, "filters": { "groups": [{ "properties": [
                { "key": "plan", "type": "person", "operator": "exact", "value": "pro" }] }] } },
        ],
        "persons": [{ "distinct_ids": ["stored"], "properties": { "plan": "pro" } }],
    })
}

impl Process {
    /// `dev`, with its log read.
    pub fn dev(variables: &[(&str, &str)]) -> Self {
        let (mut process, errors) = Self::start("dev", variables);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        process.lines = lines;
        process
    }

    /// `dev`, whose log nobody reads as long as the pipe is kept.
    pub fn unread(variables: &[(&str, &str)]) -> (Self, ChildStderr) {
        Self::start("dev", variables)
    }

    /// `serve`, with every store away.
    pub fn serve_alone(variables: &[(&str, &str)]) -> Self {
        let nowhere = [
            ("REDIS_URL", "redis://:hunter2@127.0.0.1:1/"),
            (
                "READ_DATABASE_URL",
                "postgres://somebody:hunter2@127.0.0.1:1/posthog",
            ),
            (
                "WRITE_DATABASE_URL",
                "postgres://somebody:hunter2@127.0.0.1:1/posthog",
            ),
            ("OBJECT_STORAGE_ENDPOINT", "http://127.0.0.1:1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("ADDRESS", "127.0.0.1:0"),
        ];
        let all: Vec<_> = nowhere.iter().chain(variables).copied().collect();
        let (mut process, errors) = Self::start("serve", &all);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        process.lines = lines;
        process
    }

    fn start(command: &str, variables: &[(&str, &str)]) -> (Self, ChildStderr) {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project.json");
        std::fs::write(&project, document().to_string()).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_feature-flags"));
        program.arg(command);
        if command == "dev" {
            program
                .args(["--address", "127.0.0.1:0", "--project"])
                .arg(&project);
        }
        let mut child = program
            .env_clear()
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = child.stderr.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let address = first.strip_prefix("feature-flags listening on http://").unwrap();
        let process = Self {
            child,
            address: address.parse().unwrap(),
            lines: channel().1,
            _folder: folder,
        };
        (process, errors)
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Posts JSON.
    pub fn post(&self, path: &str, headers: &[&str], body: &Value) -> Answer {
        let mut all = vec!["content-type: application/json"];
        all.extend_from_slice(headers);
        self.client()
            .request(&format!("POST {path}"), &all, body.to_string().as_bytes())
    }

    /// What `/metrics` says, parsed strictly.
    pub fn metrics(&self) -> Exposition {
        let answer = self.client().request("GET /metrics", &[], b"");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
        Exposition::parse(answer.text())
    }

    /// The next line of the log that `wanted` takes.
    pub fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.lines.recv_timeout(HANG).expect("the line comes");
            if wanted(&line) {
                return line;
            }
        }
    }

    /// The next line of a request.
    pub fn request_line(&self) -> Value {
        let line = self.line(|line| line.contains("canonical_log_line"));
        serde_json::from_str(&line).expect("a line is a JSON object")
    }

    /// Tells the process to end, and waits for it. What it still said.
    pub fn end(&mut self) -> Vec<String> {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.lines.iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
