//! Two equal servers and thousands of recorded requests: no difference.

use crate::replaying::{read, replay};
use crate::server::{Server, TOKEN};
use crate::traffic;

const REQUESTS: usize = 2_000;

fn nothing_differs(redaction: &str, more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let mut recorded = Server::recording(&file, &[("RECORDER_REDACTION", redaction)]);
    // A connection at a time: the writer keeps up, so that nothing is dropped.
    traffic::mixed(&mut recorded.client(), REQUESTS);
    recorded.finish();
    let (header, entries, end) = read(&file);
    let end = end.expect("an orderly end has a last line");
    assert_eq!(header.redaction, redaction);
    assert_eq!(
        (end.reason.as_str(), end.dropped, end.undecodable),
        ("stopped", 0, 0)
    );
    assert_eq!((end.requests, entries.len()), (REQUESTS as u64, REQUESTS));
    let (a, b) = (Server::plain(), Server::plain());
    let replayed = replay(
        &file,
        &a.url(),
        &b.url(),
        &[&["--rate", "max", "--concurrency", "4"], more].concat(),
    );
    assert_eq!(replayed.code, Some(0), "{}{}", replayed.stdout, replayed.stderr);
    assert_eq!(replayed.report["compared"], REQUESTS);
    assert_eq!(replayed.report["different"], 0);
    assert_eq!(replayed.report["same"], true);
    assert!(replayed.stdout.contains("no differences"), "{}", replayed.stdout);
    // They were answers, and not refusals of something that nobody understood.
    let (_, entries, _) = read(&file);
    let ready = |entry| feature_flags::replay::Request::of_entry(entry).unwrap();
    let mut tokens = feature_flags::replay::Tokens::default();
    tokens.add(TOKEN).unwrap();
    let mut client = a.client();
    for entry in entries.into_iter().step_by(37) {
        let request = ready(entry).ready(&tokens).unwrap();
        let headers: Vec<String> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = client.request(
            &format!("{} {}", request.method, request.target),
            &headers,
            &request.body,
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn equal_servers_answer_a_recording_as_it_was_sent_the_same() {
    nothing_differs("none", &[]);
}

#[test]
fn equal_servers_answer_a_redacted_recording_the_same() {
    nothing_differs("unused", &["--token", TOKEN]);
}

#[test]
fn plain_bodies_can_be_replayed_without_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    let bodies: Vec<String> = (0..50).map(|number| traffic::body(number).to_string()).collect();
    std::fs::write(&file, bodies.join("\n")).unwrap();
    let server = Server::plain();
    let more = ["--bodies", "/flags?v=2", "--rate", "max", "--requests", "120"];
    let replayed = replay(&file, &server.url(), &server.url(), &more);
    assert_eq!(replayed.code, Some(0), "{}{}", replayed.stdout, replayed.stderr);
    assert_eq!(replayed.report["compared"], 120);
}
