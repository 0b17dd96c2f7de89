//! Dashboard and alert rules name only what a running server exports.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use feature_flags::telemetry::metrics::catalog::CATALOG;

use crate::mistakes::copy;
use crate::script::{ROOT, check_deploy, text};
use crate::world::World;

/// Series that are there only once something has happened, mostly a failure.
const SELDOM: &[&str] = &[
    "flags_acquire_timeout_total",
    "flags_database_error_total",
    "flags_ip_rate_limit_exceeded_total",
    "flags_rate_limit_exceeded_total",
    "flags_request_faults_total",
];

/// Longest wait for a task of the server to have measured something.
const PATIENCE: Duration = Duration::from_secs(20);

/// The first line of an answer, and the rest.
fn ask(address: &str, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "{request} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Names of samples that a text form has.
fn sample_names(exposition: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for described in exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = described.split_once(' ').expect("name and kind");
        let parts = if kind == "histogram" {
            &["_bucket", "_sum", "_count"][..]
        } else {
            &[""]
        };
        names.extend(parts.iter().map(|part| format!("{name}{part}")));
    }
    names
}

/// What `/metrics` of a server on real stores lists once it has answered somebody. Waits until nothing of `wanted` is missing.
fn exported(wanted: &BTreeSet<String>) -> BTreeSet<String> {
    let world = World::start(&["postgres", "redis"]);
    world.file(
        "project.json",
        r#"{"team": {"id": 1, "api_token": "phc_a"}, "flags": [{"id": 1, "key": "on", "active": true, "filters": {"groups": [{}]}}]}"#,
    );
    let mut settings = world.settings();
    let imported = world.run(&["import", "project.json"], &settings);
    assert!(imported.status.success(), "{}", text(&imported));
    for (name, value) in [("ENABLE_METRICS", "true"), ("DB_MONITOR_INTERVAL_SECS", "1")] {
        settings.insert(name.into(), value.into());
    }
    let mut serving = world
        .command(&["serve"], &settings)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(serving.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("UTF-8");
    let address = first
        .strip_prefix("feature-flags listening on http://")
        .expect("an address");
    let since = Instant::now();
    let names = loop {
        ask(
            address,
            "POST /flags?v=2",
            r#"{"token": "phc_a", "distinct_id": "a"}"#,
        );
        ask(address, "GET /flags/definitions?token=phc_a", "");
        let answer = ask(address, "GET /metrics", "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let names = sample_names(&answer);
        if wanted.is_subset(&names) || since.elapsed() > PATIENCE {
            break names;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    serving.kill().expect("it runs");
    serving.wait().expect("it ends");
    names
}

fn used(folder: &Path) -> BTreeSet<String> {
    let output = check_deploy(folder, &["--names"]);
    assert!(output.status.success(), "{}", text(&output));
    text(&output).lines().map(str::to_owned).collect()
}

#[test]
fn every_metric_that_is_drawn_or_alerted_on_is_exported() {
    let deploy = Path::new(ROOT).join("deploy");
    let used_now = used(&deploy);
    assert!(used_now.len() > 30, "{used_now:?}");
    for name in SELDOM {
        let known = CATALOG.iter().any(|metric| metric.name == *name);
        assert!(known, "{name} is in no list");
    }
    let seldom: BTreeSet<String> = SELDOM.iter().map(|name| (*name).to_owned()).collect();
    let at_once = used_now.difference(&seldom).cloned().collect();
    let known: BTreeSet<String> = exported(&at_once).union(&seldom).cloned().collect();
    let unknown: Vec<_> = used_now.difference(&known).collect();
    assert!(unknown.is_empty(), "exported by nobody: {unknown:?}");

    // A wrong name is seen, in a rule and on the dashboard.
    let folder = tempfile::tempdir().expect("a directory");
    copy(&deploy, folder.path());
    for (file, right, wrong) in [
        (
            "prometheus/alerts.yaml",
            "flags_request_timeout_total{",
            "flags_timeouts_total{",
        ),
        (
            "grafana/feature-flags.json",
            "flags_pool_utilization_ratio{",
            "flags_pool_ratio{",
        ),
    ] {
        let path = folder.path().join(file);
        let before = std::fs::read_to_string(&path).expect("text");
        assert!(before.contains(right), "{file} has {right}");
        std::fs::write(&path, before.replace(right, wrong)).expect("written");
    }
    let used_then = used(folder.path());
    let unknown: Vec<&String> = used_then.difference(&known).collect();
    assert_eq!(unknown, ["flags_pool_ratio", "flags_timeouts_total"]);
}
