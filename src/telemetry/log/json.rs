//! Lines as JSON, one object a line. Written by hand: with the formatting machinery this was a tenth of a busy server's time.

use std::time::Duration;

use super::Level;
use super::line::{Field, Line};

/// What names the lines of requests (`http.md` 18).
pub(super) const CANONICAL: &str = "canonical_log_line";

pub(super) fn request(out: &mut Vec<u8>, stamp: &str, line: &Line<'_>) {
    begin(out, stamp, Level::Info, CANONICAL);
    for (name, value) in &line.fields {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match value {
            Field::Text(text) => string(out, text),
            Field::Integer(number) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
            Field::Boolean(true) => out.extend_from_slice(b"true"),
            Field::Boolean(false) => out.extend_from_slice(b"false"),
            Field::Milliseconds(time) => milliseconds(out, *time),
        }
    }
    out.extend_from_slice(b"}\n");
}

pub(super) fn message(out: &mut Vec<u8>, stamp: &str, level: Level, text: &str) {
    begin(out, stamp, level, text);
    out.extend_from_slice(b"}\n");
}

fn begin(out: &mut Vec<u8>, stamp: &str, level: Level, message: &str) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    out.extend_from_slice(stamp.as_bytes());
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(level.name().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    string(out, message);
}

fn string(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Any text is a JSON string, and memory takes it.
        let _ = serde_json::to_writer(out, text);
    }
}

/// With three digits behind the point, rounded.
fn milliseconds(out: &mut Vec<u8>, time: Duration) {
    let microseconds = time.as_nanos().saturating_add(500) / 1_000;
    let whole = u64::try_from(microseconds / 1_000).unwrap_or(u64::MAX);
    out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    let rest = (microseconds % 1_000) as u16;
    let digit = |value: u16| b'0' + (value % 10) as u8;
    out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_whatever_texts_contain() {
        for text in ["", "plain", "quote \" slash \\", "line\nend\u{1}", "\u{20ac}"] {
            let line = Line {
                fields: vec![
                    ("text", Field::Text(text.into())),
                    ("integer", Field::Integer(-17)),
                    ("yes", Field::Boolean(true)),
                    ("no", Field::Boolean(false)),
                    ("time_ms", Field::Milliseconds(Duration::from_nanos(12_045_600))),
                ],
            };
            let mut out = Vec::new();
            request(&mut out, "2026-01-01T00:00:00.000000Z", &line);
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!((&read["text"], &read["integer"]), (&text.into(), &(-17).into()));
            assert_eq!((&read["yes"], &read["no"]), (&true.into(), &false.into()));
            assert_eq!(read["time_ms"], serde_json::json!(12.046));
        }
    }

    #[test]
    fn milliseconds_have_three_digits() {
        for (nanoseconds, shown) in [
            (0, "0.000"),
            (499, "0.000"),
            (500, "0.001"),
            (999_499, "0.999"),
            (999_500, "1.000"),
            (61_020_000_000, "61020.000"),
        ] {
            let mut out = Vec::new();
            milliseconds(&mut out, Duration::from_nanos(nanoseconds));
            assert_eq!(String::from_utf8(out).unwrap(), shown);
        }
    }
}
