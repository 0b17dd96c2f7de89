//! Lines as JSON, one object a line.

use std::io::Write;

use super::Level;
use super::line::{Field, Line};

/// What names the lines of requests (`http.md` 18).
pub(super) const CANONICAL: &str = "canonical_log_line";

pub(super) fn request(out: &mut Vec<u8>, stamp: &str, line: &Line<'_>) {
    begin(out, stamp, Level::Info, CANONICAL);
    for (name, value) in &line.fields {
        // Writing to memory does not fail.
        let _ = write!(out, ",\"{name}\":");
        match value {
            Field::Text(text) => string(out, text),
            Field::Integer(number) => drop(write!(out, "{number}")),
            Field::Boolean(value) => drop(write!(out, "{value}")),
            Field::Milliseconds(time) => drop(write!(out, "{:.3}", time.as_secs_f64() * 1_000.0)),
        }
    }
    out.extend_from_slice(b"}\n");
}

pub(super) fn message(out: &mut Vec<u8>, stamp: &str, level: Level, text: &str) {
    begin(out, stamp, level, text);
    out.extend_from_slice(b"}\n");
}

fn begin(out: &mut Vec<u8>, stamp: &str, level: Level, message: &str) {
    let _ = write!(
        out,
        "{{\"timestamp\":\"{stamp}\",\"level\":\"{}\",\"message\":",
        level.name()
    );
    string(out, message);
}

fn string(out: &mut Vec<u8>, text: &str) {
    // Any text is a JSON string, and memory takes it.
    let _ = serde_json::to_writer(out, text);
}
