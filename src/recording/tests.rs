//! What is written is what is read; what is no recording says so.

use std::io::Cursor;

use super::{Entry, FORM, Header, LINE_BYTES_MAX, Line, LineError, Lines, Wrapping, token_hashes};

fn header() -> Header {
    Header {
        recording: FORM,
        version: "0.1.0".into(),
        started_at_ms: 1,
        sample_rate: 0.5,
        redaction: "unused".into(),
        client_addresses: false,
        warnings: vec!["beware".into()],
    }
}

#[test]
fn lines_come_back_as_they_were() {
    let mut entry = Entry {
        method: "POST".into(),
        path: "/flags".into(),
        wrapping: Some(Wrapping::Gzip),
        ..Entry::default()
    };
    entry.set_body(b"{\"a\":1}\n");
    let mut text = serde_json::to_string(&header()).unwrap();
    text.push_str("\n\n");
    text.push_str(&serde_json::to_string(&entry).unwrap());
    let mut lines = Lines::new(Cursor::new(text));
    assert_eq!(
        lines.next_of_recording().unwrap().unwrap(),
        Line::Header(header())
    );
    assert_eq!(
        lines.next_of_recording().unwrap().unwrap(),
        Line::Entry(Box::new(entry))
    );
    assert!(lines.next_of_recording().is_none());
    assert_eq!(lines.number(), 3);
}

#[test]
fn hostile_lines_are_named_and_the_next_is_read() {
    let mut text = vec![b'x'; LINE_BYTES_MAX + 1];
    text.extend_from_slice(b"\n{\"method\":5}\n\xff\xfe\n[]\n{\"recording\":9}\n{\"end\":1}\n");
    text.extend_from_slice(b"{\"method\":\"POST\",\"path\":\"/flags\"}");
    let mut lines = Lines::new(Cursor::new(text));
    assert!(matches!(lines.next_of_recording(), Some(Err(LineError::TooLong))));
    for _ in 0..5 {
        assert!(matches!(
            lines.next_of_recording(),
            Some(Err(LineError::Malformed(_)))
        ));
    }
    assert!(matches!(lines.next_of_recording(), Some(Ok(Line::Entry(_)))));
    assert!(lines.next_of_recording().is_none());
    let later = serde_json::to_string(&Header {
        recording: 2,
        ..header()
    });
    let mut lines = Lines::new(Cursor::new(later.unwrap()));
    assert!(matches!(lines.next_of_recording(), Some(Err(LineError::Form(2)))));
}

#[test]
fn bodies_that_are_no_text_are_kept_too() {
    let mut entry = Entry::default();
    entry.set_body(&[0x1f, 0x8b, 0xff]);
    assert!(entry.body.is_none());
    assert_eq!(entry.wire_body().unwrap(), [0x1f, 0x8b, 0xff]);
    entry.body = Some("both".into());
    assert_eq!(entry.wire_body(), None);
    entry.body = None;
    entry.body_base64 = Some("%%".into());
    assert_eq!(entry.wire_body(), None);
}

#[test]
fn forms_are_percent_encoded() {
    assert_eq!(
        Wrapping::Form.wrap(b"{\"a\":\"\xc3\xbf?\"}"),
        b"data=eyJhIjoiw78%2FIn0%3D"
    );
    assert_eq!(Wrapping::Base64.wrap(b"{}"), b"e30=");
}

#[test]
fn hashed_tokens_are_found_where_they_stand() {
    let hash = format!("token_{}", "0a".repeat(16));
    let text = format!("x{hash}&token_5 {hash}z token_\u{20ac}");
    let found: Vec<_> = token_hashes(&text).collect();
    assert_eq!(found, [(1, &*hash), (1 + 38 + 9, &*hash)]);
}
