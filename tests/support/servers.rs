//! Real PostgreSQL and Redis processes for one test binary, through `scripts/servers`.
//!
//! A machine without the programs fails the tests with the name of the package that has them; nothing is skipped.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Numbers the databases of this process.
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Servers that run until this is dropped. Commands of several threads follow each other.
pub struct Servers {
    script: Child,
    pipes: Mutex<Pipes>,
    described: Value,
}

struct Pipes {
    /// `None` once the script has been told to end.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

#[allow(dead_code, reason = "each test binary uses a part")]
impl Servers {
    /// Starts the named ones (`postgres`, `redis`, `redis-replica`, `flags-redis`, `flags-redis-replica`; an option of the
    /// script may stand among them) and waits until they answer.
    ///
    /// # Panics
    /// When one cannot be started; the script says why on standard error.
    pub fn start(names: &[&str]) -> Self {
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers"))
            .args(names)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/servers needs the Debian package python3");
        let commands = script.stdin.take().expect("piped");
        let mut answers = BufReader::new(script.stdout.take().expect("piped"));
        let described = read_line(&mut answers).unwrap_or_else(|| {
            let status = script.wait();
            panic!("scripts/servers {names:?} ended at once ({status:?}); its reason is above")
        });
        Self {
            script,
            pipes: Mutex::new(Pipes {
                commands: Some(commands),
                answers,
            }),
            described,
        }
    }

    /// URL of a server: `redis://...` or `postgres://...`.
    pub fn url(&self, name: &str) -> String {
        let url = self.described[name]["url"].as_str();
        url.unwrap_or_else(|| panic!("{name} was not started")).to_owned()
    }

    /// Loopback port of a server.
    pub fn port(&self, name: &str) -> u16 {
        let port = self.described[name]["port"].as_u64();
        port.and_then(|port| u16::try_from(port).ok())
            .unwrap_or_else(|| panic!("{name} was not started"))
    }

    /// One of the script's commands (`kill redis`, `pause postgres`, ...); returns when it has taken effect.
    ///
    /// # Panics
    /// With the script's words when the command fails.
    pub fn command(&self, command: &str) {
        self.answer(command);
    }

    /// URL of a new database that has the schema and no rows. Takes about a tenth of a second.
    pub fn database(&self) -> String {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer(&format!("database test_{number}"));
        answer["url"].as_str().expect("a url").to_owned()
    }

    fn answer(&self, command: &str) -> Value {
        assert!(!command.contains('\n'), "one command a line");
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let commands = pipes.commands.as_mut().expect("open until dropped");
        writeln!(commands, "{command}").expect("the script runs");
        let answer = read_line(&mut pipes.answers).expect("the script runs");
        assert_eq!(answer["ok"], true, "{command}: {}", answer["error"]);
        answer
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // The end of its input is what the script ends at.
        self.pipes
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .commands = None;
        drop(self.script.wait());
    }
}

fn read_line(reader: &mut BufReader<ChildStdout>) -> Option<Value> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}
