//! Latencies count from the intended moment, and one server's troubles are not the other's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::replaying::replay;

/// Far above what a busy machine adds.
const STALL: Duration = Duration::from_secs(3);

/// A server that answers everything with this status.
fn refusing(status: &'static str) -> String {
    answering(status, |_| {})
}

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
    answering("200 OK", before)
}

fn answering(status: &'static str, before: impl Fn(u64) + Send + Sync + 'static) -> String {
    let before = Arc::new(before);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU64::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (before, asked) = (Arc::clone(&before), Arc::clone(&asked));
            std::thread::spawn(move || answer(stream.unwrap(), status, &*before, &asked));
        }
    });
    url
}

fn answer(mut stream: TcpStream, status: &str, before: &dyn Fn(u64), asked: &AtomicU64) {
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
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Four seconds of requests at a constant rate, one in flight.
const ONE_BY_ONE: [&str; 8] = [
    "--bodies",
    "/flags",
    "--rate",
    "50",
    "--requests",
    "200",
    "--concurrency",
    "1",
];

#[test]
fn a_stall_is_seen_by_every_request_that_had_to_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    std::fs::write(&file, "{}\n").unwrap();
    let (hdr_a, hdr_b) = (folder.path().join("a.hdr"), folder.path().join("b.hdr"));
    let logs = [
        "--progress",
        "--hdr-a",
        hdr_a.to_str().unwrap(),
        "--hdr-b",
        hdr_b.to_str().unwrap(),
    ];
    let more = [&ONE_BY_ONE[..], &logs].concat();
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

/// `canary` on two logs that `replay` wrote.
fn canary(stable: &Path, canary: &Path, requests_min: &str) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_feature-flags"))
        .arg("canary")
        .arg("--stable")
        .arg(stable)
        .arg("--canary")
        .arg(canary)
        // Two servers on a busy machine: their latencies are not what is judged here.
        .args([
            "--min-requests",
            requests_min,
            "--max-p50",
            "1000",
            "--max-p95",
            "1000",
            "--max-p99",
            "1000",
        ])
        .env_clear()
        .output()
        .unwrap();
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn canary_judges_the_logs_that_replay_writes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    std::fs::write(&file, "{}\n").unwrap();
    let (hdr_a, hdr_b) = (folder.path().join("a.hdr"), folder.path().join("b.hdr"));
    let run = |b: &str| {
        let paths = [hdr_a.to_str().unwrap(), hdr_b.to_str().unwrap()];
        let more = ["--bodies", "/flags", "--rate", "max", "--requests", "300"];
        replay(
            &file,
            &server(None),
            b,
            &[&more[..], &["--hdr-a", paths[0], "--hdr-b", paths[1]]].concat(),
        )
    };
    let same = run(&server(None));
    assert_eq!(same.code, Some(0), "{}{}", same.stdout, same.stderr);
    let (code, said) = canary(&hdr_a, &hdr_b, "300");
    assert_eq!(code, Some(0), "{said}");

    let failing = run(&refusing("503 Service Unavailable"));
    assert_eq!(failing.code, Some(1), "{}", failing.stdout);
    assert_eq!(failing.report["b"]["statuses"]["503"], 300);
    assert_eq!(failing.report["b"]["latency_seconds"]["count"], 0);
    assert_eq!(failing.report["b"]["failure_latency_seconds"]["count"], 300);
    assert!(failing.stdout.contains("300 of 503"), "{}", failing.stdout);
    let (code, said) = canary(&hdr_a, &hdr_b, "300");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("100.000%"), "{said}");
    // Nobody listens there: without an answer is an error, too.
    assert_eq!(run("http://127.0.0.1:1").code, Some(2));
    let (code, said) = canary(&hdr_a, &hdr_b, "300");
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn servers_that_refuse_everything_prove_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    std::fs::write(&file, "{}\n").unwrap();
    let more = ["--bodies", "/flags", "--rate", "max", "--requests", "20"];
    for status in ["401 Unauthorized", "503 Service Unavailable"] {
        let replayed = replay(&file, &refusing(status), &refusing(status), &more);
        assert_eq!(replayed.code, Some(2), "{}", replayed.stdout);
        assert_eq!(
            (&replayed.report["compared"], &replayed.report["succeeded"]),
            (&20.into(), &0.into())
        );
        assert!(replayed.stderr.contains("2xx"), "{}", replayed.stderr);
        assert!(
            replayed.stdout.contains(&format!("20 of {}", &status[..3])),
            "{}",
            replayed.stdout
        );
    }
}

#[test]
fn a_full_queue_of_one_server_is_said_and_keeps_nothing_from_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    std::fs::write(&file, "{}\n").unwrap();
    // While A stalls, 150 requests become due, of which 64 may wait.
    let more = [&ONE_BY_ONE[..], &["--waiting", "64"]].concat();
    let replayed = replay(&file, &server(Some(20)), &server(None), &more);
    let report = &replayed.report;
    assert_eq!(replayed.code, Some(2), "{}", replayed.stdout);
    let left_out = report["a"]["overrun"].as_u64().unwrap();
    assert!(left_out > 0, "{}", replayed.stdout);
    assert_eq!(report["b"]["overrun"], 0, "{}", replayed.stdout);
    assert_eq!(report["b"]["latency_seconds"]["count"], 200);
    assert_eq!(report["a"]["latency_seconds"]["count"], 200 - left_out);
    assert_eq!(report["compared"], 200 - left_out);
    assert_eq!(report["corrected_for_coordinated_omission"], false);
    assert!(replayed.stdout.contains("a: WARNING: "), "{}", replayed.stdout);
    assert!(replayed.stderr.contains("lower --rate"), "{}", replayed.stderr);
}
