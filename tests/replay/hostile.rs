//! Recordings that somebody made by hand, or broke.

use serde_json::json;

use crate::replaying::replay;
use crate::server::Server;
use crate::traffic;

const HEADER: &str = r#"{"recording":1,"version":"x","started_at_ms":1,"sample_rate":1,"redaction":"none","client_addresses":false,"warnings":[]}"#;

#[test]
fn what_is_no_request_is_counted_and_the_rest_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let entry = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut entry = json!({
            "method": "POST", "path": "/flags", "query": "v=2", "headers": { "content-type": "application/json" },
            "body": traffic::body(3).to_string(),
        });
        change(&mut entry);
        entry.to_string().into_bytes()
    };
    let hash = format!("token_{}", "a".repeat(32));
    let lines: Vec<Vec<u8>> = vec![
        HEADER.into(),
        entry(&|_| {}),
        // Malformed.
        b"{\"method\":".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"[[[[".repeat(50_000),
        vec![b'x'; 17 * 1024 * 1024],
        entry(&|entry| entry["wrapping"] = json!("rot13")),
        // Not sendable.
        entry(&|entry| entry["path"] = json!("http://elsewhere/")),
        entry(&|entry| entry["method"] = json!("GET / HTTP/1.1\r\nx: y")),
        entry(&|entry| entry["body_base64"] = json!("e30=")),
        // A token that nothing names.
        entry(&|entry| {
            entry["wrapping"] = json!("plain");
            entry["body"] = json!(format!("{{\"token\":\"{hash}\"}}"));
        }),
        // Sent, headers of a connection left out, and refused by both.
        entry(&|entry| {
            entry["headers"] =
                json!({ "content-length": "99", "transfer-encoding": "chunked", "x\r\ny": "z", "host": "h" })
        }),
        entry(&|entry| entry["body"] = json!("\u{0}{{{{")),
        entry(&|entry| entry["path"] = json!("/nowhere")),
        HEADER.into(),
        // Cut off, as by a full disk.
        b"{\"method\":\"POST\",\"path\":\"/fl".to_vec(),
    ];
    std::fs::write(&file, lines.join(&b'\n')).unwrap();
    let (a, b) = (Server::plain(), Server::plain());
    let replayed = replay(&file, &a.url(), &b.url(), &["--rate", "max"]);
    assert_eq!(replayed.code, Some(0), "{}{}", replayed.stdout, replayed.stderr);
    assert_eq!(
        replayed.report["skipped"],
        json!({ "malformed": 6, "unsendable": 3, "unnamed_tokens": 1 }),
        "{}",
        replayed.stderr
    );
    assert_eq!(replayed.report["compared"], 4);
    assert!(
        replayed.stderr.contains("line 3 is left out"),
        "{}",
        replayed.stderr
    );
    assert!(
        replayed.stdout.contains("lines left out: 6 malformed"),
        "{}",
        replayed.stdout
    );
}

#[test]
fn files_that_are_no_recording_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let server = Server::plain();
    let url = server.url();
    for (text, said) in [
        (String::new(), "no recording"),
        ("{}\n".to_owned(), "no recording"),
        (HEADER.replace("\"recording\":1", "\"recording\":2"), "form 2"),
        (HEADER.to_owned(), "no request was answered"),
        (format!("{HEADER}\n{{\"end\":7}}\n"), "no request was answered"),
    ] {
        std::fs::write(&file, text).unwrap();
        let replayed = replay(&file, &url, &url, &["--rate", "max", "--requests", "5"]);
        assert_eq!(replayed.code, Some(2));
        assert!(replayed.stderr.contains(said), "{said}: {}", replayed.stderr);
    }
}

#[test]
fn answers_that_are_too_long_are_cut_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    std::fs::write(&file, traffic::body(1).to_string()).unwrap();
    let server = Server::plain();
    let more = ["--bodies", "/flags?v=2", "--answer-bytes", "100"];
    let replayed = replay(&file, &server.url(), &server.url(), &more);
    assert_eq!(replayed.code, Some(2));
    assert_eq!(
        replayed.report["a"]["errors"]["answer too long"], 1,
        "{}",
        replayed.report
    );
}
