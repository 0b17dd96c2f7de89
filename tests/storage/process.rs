//! The program as a process of its own, with the settings of a test's servers.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stores::{Layout, Stores};

/// A server that runs until this is dropped.
pub struct Process {
    child: Child,
    address: SocketAddr,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

/// The program with nothing of this process's environment.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feature-flags"));
    command
        .args(arguments)
        .env_clear()
        .env("LOG_LEVEL", "warn")
        .stdin(Stdio::null());
    command
}

/// The same, on a test's servers.
pub fn connected(stores: &Stores, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    let mut set = |name: &str, value: &str| {
        command.env(name, value);
    };
    set("READ_DATABASE_URL", &stores.database);
    set("WRITE_DATABASE_URL", &stores.database);
    if let Some(persons) = &stores.persons_database {
        set("PERSONS_READ_DATABASE_URL", persons);
        set("PERSONS_WRITE_DATABASE_URL", persons);
    }
    set("REDIS_URL", &stores.redis.url("redis"));
    match stores.layout {
        Layout::Shared | Layout::PersonsApart => {
            set("REDIS_READER_URL", &stores.redis.url("redis-replica"));
        }
        Layout::DualWrite | Layout::Dedicated => {
            set("FLAGS_REDIS_URL", &stores.redis.url("flags-redis"));
            set(
                "FLAGS_REDIS_ENABLED",
                if stores.layout == Layout::Dedicated {
                    "true"
                } else {
                    "false"
                },
            );
        }
    }
    // Many tests run at once; how limits work is tested elsewhere.
    set("REDIS_RESPONSE_TIMEOUT_MS", "5000");
    set("OBJECT_STORAGE_ENDPOINT", &stores.objects.endpoint);
    set("AWS_ACCESS_KEY_ID", stores.objects.access_key);
    set("AWS_SECRET_ACCESS_KEY", stores.objects.secret_key);
    command
}

/// Runs a command to its end, while this runtime serves S3.
pub async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("the program starts"))
        .await
        .expect("no panic")
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

impl Process {
    /// A server on a port of its own; returns when it listens.
    pub async fn serve(mut command: Command) -> Self {
        command.env("ADDRESS", "127.0.0.1:0").stdout(Stdio::piped());
        tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().expect("the program starts");
            let mut line = String::new();
            let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
            stdout.read_line(&mut line).expect("a line");
            // What else it says goes nowhere, but must not fill the pipe.
            std::thread::spawn(move || stdout.lines().for_each(drop));
            let address = line.trim().strip_prefix("feature-flags listening on http://");
            let address = address.unwrap_or_else(|| panic!("it says {line:?}"));
            Self {
                address: address.parse().expect("an address"),
                child,
            }
        })
        .await
        .expect("no panic")
    }

    /// Posts JSON to `/flags?v=2`.
    pub async fn flags(&self, body: &Value) -> Reply {
        self.flags_with(body, "").await
    }

    /// The same with header lines, each ended by CR and LF.
    pub async fn flags_with(&self, body: &Value, headers: &str) -> Reply {
        self.post("/flags?v=2", body, headers).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value, headers: &str) -> Reply {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let (head, body) = text(&answer).split_once("\r\n\r\n").expect("head and body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Reply {
            status: status.expect("a status"),
            body: body.to_owned(),
        }
    }
}

/// An answer with its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    /// Status line and header lines.
    pub head: String,
    pub body: String,
}

impl Page {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl Process {
    /// `GET`, with header lines, each ended by CR and LF.
    pub async fn get(&self, target: &str, headers: &str) -> Page {
        let request = format!("GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n");
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let (head, body) = text(&answer).split_once("\r\n\r\n").expect("head and body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Page {
            status: status.expect("a status"),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Whether a flag is on; panics if it is not in the answer.
    pub fn enabled(&self, key: &str) -> bool {
        self.json()["flags"][key]["enabled"]
            .as_bool()
            .expect("the flag was evaluated")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
