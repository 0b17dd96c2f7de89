//! Dashboard and alert rules name only what a running server exports.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use crate::mistakes::copy;
use crate::script::{ROOT, check_deploy, text};
use crate::world::World;

/// Names until the exporter is built in: `http.md` 17, and this program's own.
const EXPECTED: &str = include_str!("metric_names.txt");

/// What `/metrics` of a server on real stores lists; `None` while there is no exporter.
fn exported() -> Option<BTreeSet<String>> {
    let world = World::start(&["postgres", "redis"]);
    let mut settings = world.settings();
    settings.insert("ENABLE_METRICS".into(), "true".into());
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
    let get = |request: &str| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let answer = get("GET /metrics");
    serving.kill().expect("it runs");
    serving.wait().expect("it ends");
    if answer.starts_with("HTTP/1.1 404") {
        return None;
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut names = BTreeSet::new();
    for line in answer.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let mut words = described.split(' ');
            let (name, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            names.insert(name.to_owned());
            if kind == "histogram" {
                names.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
            }
        }
    }
    Some(names)
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
    let known = exported().unwrap_or_else(|| {
        let base = EXPECTED
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        base.flat_map(|line| {
            let (name, kind) = line.split_once(' ').expect("name and kind");
            let parts = if kind == "histogram" {
                &["_bucket", "_sum", "_count"][..]
            } else {
                &[""]
            };
            parts.iter().map(move |part| format!("{name}{part}"))
        })
        .collect()
    });
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
