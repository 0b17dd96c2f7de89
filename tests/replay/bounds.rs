//! A recording ends by itself, and never keeps anybody from being served.

use crate::replaying::read;
use crate::server::Server;
use crate::traffic;

#[test]
fn a_recording_ends_at_its_bytes_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let server = Server::recording(&file, &[("RECORDER_BYTES_MAX", "20000")]);
    let mut client = server.client();
    traffic::mixed(&mut client, 200);
    let line = server.logged("recorder: ended (bytes)");
    assert!(line.contains("requests"), "{line}");
    traffic::mixed(&mut client, 50);
    let (_, entries, end) = read(&file);
    let end = end.expect("it has an end");
    assert_eq!(end.reason, "bytes");
    assert!(!entries.is_empty() && entries.len() < 200);
    assert_eq!(end.requests, entries.len() as u64);
    let text = std::fs::read_to_string(&file).unwrap();
    let last = text.trim_end().lines().last().unwrap().len() + 1;
    assert!(
        text.len() - last <= 20_000,
        "{} bytes before the last line",
        text.len() - last
    );
}

#[test]
fn a_recording_ends_at_its_time_although_nobody_asks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let server = Server::recording(&file, &[("RECORDER_SECONDS_MAX", "1")]);
    server.logged("recorder: ended (time)");
    traffic::mixed(&mut server.client(), 10);
    let (_, entries, end) = read(&file);
    assert_eq!(
        (entries.len(), end.map(|end| end.reason)),
        (0, Some("time".to_owned()))
    );
}

#[test]
fn an_older_recording_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    std::fs::write(&file, "precious").unwrap();
    let server = Server::recording(&file, &[]);
    server.logged("nothing is recorded");
    traffic::mixed(&mut server.client(), 10);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn what_does_not_fit_the_queue_is_dropped_counted_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let mut server = Server::recording(
        &file,
        &[("RECORDER_QUEUE_BYTES", "4096"), ("ENABLE_METRICS", "true")],
    );
    let mut client = server.client();
    let mut large = traffic::body(1);
    large["padding"] = "x".repeat(5_000).into();
    for _ in 0..20 {
        assert_eq!(
            traffic::send(&mut client, "/flags?v=2", "plain", &large, &[]).status,
            200
        );
    }
    server.finish();
    let (_, entries, end) = read(&file);
    let end = end.unwrap();
    assert_eq!((entries.len(), end.requests, end.dropped), (0, 0, 20));
}

#[test]
fn a_share_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let mut server = Server::recording(&file, &[("RECORDER_SAMPLE_RATE", "0.25")]);
    traffic::mixed(&mut server.client(), 1_000);
    server.finish();
    let (header, entries, _) = read(&file);
    assert_eq!(header.sample_rate, 0.25);
    // Seven standard deviations.
    assert!((150..350).contains(&entries.len()), "{}", entries.len());
}

#[test]
#[cfg(unix)]
fn only_its_owner_reads_a_recording() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let mut server = Server::recording(&file, &[]);
    server.finish();
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}
