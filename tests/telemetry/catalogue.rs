//! The catalogue of metrics against the source text, the document, and running processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use feature_flags::telemetry::metrics::catalog::CATALOG;
use serde_json::json;

use crate::process::{Process, TOKEN};

/// Names as the macros of the facade have them in `src/`.
fn recorded_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                for start in ["counter!(", "gauge!(", "histogram!("] {
                    for (at, _) in text.match_indices(start) {
                        if text[..at].ends_with("describe_") {
                            continue;
                        }
                        let rest = text[at + start.len()..].trim_start();
                        if let Some(name) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                            names.insert(name.to_owned());
                        }
                    }
                }
            }
        }
    }
    names
}

#[test]
fn everything_that_is_recorded_is_in_the_catalogue() {
    let known: BTreeSet<String> = CATALOG.iter().map(|metric| metric.name.to_owned()).collect();
    let mut recorded = recorded_names();
    // Named by a constant: the first because its buckets go by it, the others because several handles share a name.
    for name in [
        "feature_flags_request_duration_seconds",
        "feature_flags_geoip_lookups_total",
        "flags_rate_limit_exceeded_total",
        "flags_ip_rate_limit_exceeded_total",
    ] {
        recorded.insert(name.to_owned());
    }
    let unlisted: Vec<_> = recorded.difference(&known).collect();
    let unrecorded: Vec<_> = known.difference(&recorded).collect();
    assert!(
        unlisted.is_empty(),
        "recorded and not in the catalogue: {unlisted:?}"
    );
    assert!(
        unrecorded.is_empty(),
        "in the catalogue and not recorded: {unrecorded:?}"
    );
}

#[test]
fn the_document_is_the_catalogue() {
    let document = include_str!("../../METRICS.md");
    let rows: BTreeMap<&str, Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .map(|cells| (cells[1].trim_matches('`'), cells))
        .collect();
    assert_eq!(rows.len(), CATALOG.len());
    for metric in CATALOG {
        let row = rows
            .get(metric.name)
            .unwrap_or_else(|| panic!("no row for {}", metric.name));
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        assert_eq!(
            row[2..5],
            [metric.kind.name(), &labels.join(", "), metric.help],
            "{}",
            metric.name
        );
    }
}

#[test]
fn processes_export_what_the_catalogue_says() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording");
    let variables = [
        ("ENABLE_METRICS", "true"),
        ("LOG_LEVEL", "warn"),
        // What is off counts nothing.
        ("FLAGS_SESSION_REPLAY_QUOTA_CHECK", "true"),
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("RECORDER_FILE", recording.to_str().unwrap()),
    ];
    let (dev, alone) = (Process::dev(&variables), Process::serve_alone(&variables));
    for process in [&dev, &alone] {
        process.post(
            "/flags?v=2",
            &[],
            &json!({ "token": TOKEN, "distinct_id": "stored" }),
        );
    }
    let mut seen = BTreeSet::new();
    // What is recorded only after rare failures and repairs.
    for rare in [
        "flags_hash_key_retries_total",
        "flags_flag_hash_key_writes_total",
        "posthog_hypercache_read_repair",
        // Without a location database there are none.
        "feature_flags_geoip_lookups_total",
        "geoip_properties_differ_from_lookup",
    ] {
        seen.insert(rare.to_owned());
    }
    for metrics in [dev.metrics(), alone.metrics()] {
        for (name, family) in metrics.families {
            let metric = CATALOG.iter().find(|metric| metric.name == name);
            let metric = metric.unwrap_or_else(|| panic!("{name} is exported and not in the catalogue"));
            assert_eq!(family.kind, metric.kind.name(), "{name}");
            assert_eq!(family.help.as_deref(), Some(metric.help), "{name}");
            let allowed: BTreeSet<&str> = metric.labels.iter().copied().chain(["le"]).collect();
            for (_, labels, _) in &family.samples {
                assert!(
                    labels.keys().all(|label| allowed.contains(label.as_str())),
                    "{name} {labels:?}"
                );
            }
            seen.insert(name);
        }
    }
    for metric in CATALOG {
        assert!(seen.contains(metric.name), "{} is never exported", metric.name);
    }
}
