//! Latencies count from the intended moment, and one server's troubles are not the other's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::replaying::replay;

/// Far above what a busy machine adds.
const STALL: Duration = Duration::from_secs(3);

/// A server that says the same to everybody, and stalls once.
fn server(stalls_at: Option<u64>) -> String {
    serving(move |asked| {
        if Some(asked) == stalls_at {
            std::thread::sleep(STALL);
        }
    })
}

/// A server that notes when it is asked.
fn noted(name: char, order: &Arc<Mutex<String>>) -> String {
    let order = Arc::clone(order);
    serving(move |_| order.lock().unwrap().push(name))
}

/// A server that does something before each answer.
fn serving(before: impl Fn(u64) + Send + Sync + 'static) -> String {
    let before = Arc::new(before);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU64::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (before, asked) = (Arc::clone(&before), Arc::clone(&asked));
            std::thread::spawn(move || answer(stream.unwrap(), &*before, &asked));
        }
    });
    url
}

fn answer(mut stream: TcpStream, before: &dyn Fn(u64), asked: &AtomicU64) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            return;
        }
        seen.extend_from_slice(&buffer[..read]);
        // Bodies are `{}`.
        while let Some(at) = seen.windows(6).position(|window| window == b"\r\n\r\n{}") {
            seen.drain(..at + 6);
            before(asked.fetch_add(1, Ordering::Relaxed));
            let body = r#"{"flags":{},"requestId":"x"}"#;
            let text = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    }
}

#[test]
fn a_stall_is_seen_by_every_request_that_had_to_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    std::fs::write(&file, "{}\n").unwrap();
    let (hdr_a, hdr_b) = (folder.path().join("a.hdr"), folder.path().join("b.hdr"));
    let more = [
        "--bodies",
        "/flags",
        "--rate",
        "50",
        "--requests",
        "200",
        "--concurrency",
        "1",
        "--progress",
        "--hdr-a",
        hdr_a.to_str().unwrap(),
        "--hdr-b",
        hdr_b.to_str().unwrap(),
    ];
    let replayed = replay(&file, &server(Some(50)), &server(None), &more);
    assert_eq!(replayed.code, Some(0), "{}{}", replayed.stdout, replayed.stderr);
    assert_eq!(replayed.report["corrected_for_coordinated_omission"], true);
    let seconds = |side: &str, value: &str| replayed.report[side]["latency_seconds"][value].as_f64().unwrap();
    // One answer of 200 was slow; three quarters of all requests waited for it, half of all for more than a second.
    assert!(seconds("a", "p50") > 0.7, "{}", replayed.stdout);
    assert!(seconds("a", "max") >= 2.99, "{}", replayed.stdout);
    assert!(
        seconds("b", "p50") < 0.5 * seconds("a", "p50"),
        "{}",
        replayed.stdout
    );
    assert!(replayed.stderr.contains("p99 a"), "{}", replayed.stderr);
    for path in [hdr_a, hdr_b] {
        let log = std::fs::read_to_string(path).unwrap();
        assert!(log.contains("#[MaxValueDivisor: 1000000.000]"), "{log}");
        let last = log.lines().last().unwrap();
        assert_eq!(last.split(',').count(), 4, "{last}");
        assert!(
            last.split(',').next_back().unwrap().starts_with("HISTF"),
            "{last}"
        );
    }
}

#[test]
fn the_servers_take_turns_in_being_first() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    std::fs::write(&file, "{}\n").unwrap();
    let order = Arc::new(Mutex::new(String::new()));
    let (a, b) = (noted('a', &order), noted('b', &order));
    let more = [
        "--bodies",
        "/flags",
        "--rate",
        "max",
        "--requests",
        "6",
        "--concurrency",
        "1",
    ];
    let replayed = replay(&file, &a, &b, &more);
    assert_eq!(replayed.report["compared"], 6, "{}", replayed.stdout);
    assert_eq!(*order.lock().unwrap(), "abbaabbaabba");
}
