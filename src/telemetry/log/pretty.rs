//! Lines for people (`DEBUG`).

use std::io::Write;

use super::Level;
use super::json::CANONICAL;
use super::line::{Field, Line};

pub(super) fn request(out: &mut Vec<u8>, stamp: &str, line: &Line<'_>) {
    // Writing to memory does not fail.
    let _ = write!(out, "{stamp} {} {CANONICAL}", Level::Info.name());
    for (name, value) in &line.fields {
        match value {
            Field::Text(text) => drop(write!(out, " {name}={text:?}")),
            Field::Integer(number) => drop(write!(out, " {name}={number}")),
            Field::Boolean(value) => drop(write!(out, " {name}={value}")),
            Field::Milliseconds(time) => drop(write!(out, " {name}={:.3}", time.as_secs_f64() * 1_000.0)),
        }
    }
    out.push(b'\n');
}

pub(super) fn message(out: &mut Vec<u8>, level: Level, text: &str) {
    let _ = writeln!(out, "{}: {text}", level.word());
}
