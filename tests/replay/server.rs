//! `dev` as a process, recording or not, whose log can be waited for.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::client::Client;

pub const PROJECT: &str = include_str!("../fixtures/sdk_fixture.json");
pub const TOKEN: &str = "phc_sdk_fixture_4242";

/// Far above anything that a test waits for.
const HANG: Duration = Duration::from_secs(60);

/// A server that runs until this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Receiver<String>,
    _folder: tempfile::TempDir,
}

impl Server {
    /// With these variables, serving this project.
    pub fn start(project: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let document = folder.path().join("project.json");
        std::fs::write(&document, project).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_feature-flags"))
            .args(["dev", "--address", "127.0.0.1:0", "--project"])
            .arg(&document)
            .env_clear()
            .env("LOG_LEVEL", "warn")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let address = first.strip_prefix("feature-flags listening on http://").unwrap();
        Self {
            child,
            address: address.parse().unwrap(),
            log,
            _folder: folder,
        }
    }

    /// The plain fixture, not recording.
    pub fn plain() -> Self {
        Self::start(PROJECT, &[])
    }

    /// Recording everything into this file.
    pub fn recording(file: &Path, variables: &[(&str, &str)]) -> Self {
        let file = file.to_str().unwrap();
        let all = [
            &[("RECORDER_FILE", file), ("RECORDER_SAMPLE_RATE", "1")],
            variables,
        ]
        .concat();
        Self::start(PROJECT, &all)
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for a line of the log that has this in it.
    pub fn logged(&self, part: &str) -> String {
        loop {
            let line = self.log.recv_timeout(HANG).expect("the log has such a line");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// SIGTERM, and the orderly end.
    pub fn finish(&mut self) {
        let told = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(told.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
