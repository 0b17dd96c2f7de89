//! Runs `replay` and reads what it says.

use std::path::Path;
use std::process::{Command, Output};

use feature_flags::recording::{End, Entry, Header, Line, Lines};
use serde_json::Value;

/// What a run said.
pub struct Replayed {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// The JSON report, if there is one.
    pub report: Value,
}

/// Runs it with a JSON report.
pub fn replay(file: &Path, a: &str, b: &str, more: &[&str]) -> Replayed {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_feature-flags"))
        .arg("replay")
        .arg(file)
        .args(["--a", a, "--b", b, "--json"])
        .arg(&json)
        .args(more)
        .env_clear()
        .output()
        .unwrap();
    let text = std::fs::read(&json).unwrap_or_default();
    let replayed = Replayed {
        code: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
        report: serde_json::from_slice(&text).unwrap_or(Value::Null),
    };
    assert!(!replayed.stderr.contains("panicked"), "{}", replayed.stderr);
    replayed
}

/// Reads a recording.
pub fn read(file: &Path) -> (Header, Vec<Entry>, Option<End>) {
    let text = std::fs::read(file).unwrap();
    let mut lines = Lines::new(&text[..]);
    let Some(Ok(Line::Header(header))) = lines.next_of_recording() else {
        panic!("the first line is a header");
    };
    let (mut entries, mut end) = (Vec::new(), None);
    while let Some(line) = lines.next_of_recording() {
        match line.unwrap() {
            Line::Header(_) => panic!("one header"),
            Line::Entry(entry) => entries.push(*entry),
            Line::End(last) => end = Some(last),
        }
    }
    (header, entries, end)
}
