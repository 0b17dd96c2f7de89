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

/// Names and labels of `http.md` 17, word for word; a label that the table does not settle is the one of the first release.
const UPSTREAM: &[(&str, &[&str])] = &[
    ("http_requests_total", &["method", "path", "status"]),
    ("http_requests_duration_seconds", &["method", "path", "status"]),
    ("flags_concurrency_limit_wait_ms", &[]),
    ("flags_db_connection_time", &["pool"]),
    ("flags_rate_limit_check_ms", &[]),
    ("flags_token_extract_ms", &[]),
    ("flags_requests_total", &["flags_disabled", "team_id"]),
    ("flags_requests_duration_ms", &["flags_disabled", "team_id"]),
    ("flags_request_faults_total", &["team_id"]),
    ("flags_request_kludge_total", &["type", "client_type"]),
    ("flags_rate_limit_exceeded_total", &["token", "mode", "action"]),
    ("flags_ip_rate_limit_exceeded_total", &["ip", "mode"]),
    ("flags_rate_limiter_token_entries", &[]),
    ("flags_rate_limiter_ip_entries", &[]),
    ("flags_rate_limiter_definitions_entries", &[]),
    ("flags_token_validation_errors_total", &["reason"]),
    ("flags_request_timeout_total", &[]),
    ("flags_queue_time_ms", &[]),
    ("flags_pre_handler_time_ms", &[]),
    ("flags_team_cache_hit_total", &["cache_hit"]),
    ("flags_team_negative_cache_hit_total", &[]),
    ("flags_db_team_reads_total", &[]),
    ("flags_cohort_cache_hit_total", &[]),
    ("flags_cohort_cache_miss_total", &[]),
    ("flags_cohort_cache_size_bytes", &[]),
    ("flags_cohort_cache_entries", &[]),
    ("flags_db_cohort_reads_total", &[]),
    ("flags_db_cohort_errors_total", &[]),
    ("flags_db_group_type_reads_total", &[]),
    ("flags_db_group_type_errors_total", &[]),
    ("flags_db_person_and_group_properties_reads_total", &[]),
    ("flags_property_cache_hits_total", &[]),
    ("flags_property_cache_misses_total", &[]),
    ("flags_db_operations_per_request", &["team_id", "operation_type"]),
    ("flags_db_connection_pool_active_total", &["pool"]),
    ("flags_db_connection_pool_idle_total", &["pool"]),
    ("flags_db_connection_pool_max_total", &["pool"]),
    ("flags_db_connection_pool_size", &["pool"]),
    ("flags_pool_utilization_ratio", &["pool"]),
    ("flags_connection_hold_time_ms", &["pool"]),
    ("flags_acquire_timeout_total", &["pool"]),
    (
        "flags_database_error_total",
        &["pool", "error_type", "timeout_type"],
    ),
    ("flag_request_redis_error", &["error"]),
    ("feature_flags_billing_limits_loaded_tokens", &["cache_key"]),
    ("session_replay_billing_limits_loaded_tokens", &["cache_key"]),
    ("posthog_tombstone_total", &["failure_type", "namespace", "value"]),
    ("flags_evaluation_time", &[]),
    ("flags_get_match_time", &[]),
    ("flags_evaluate_all_conditions_time", &[]),
    ("flags_person_query_time", &[]),
    ("flags_person_processing_time", &[]),
    ("flags_group_query_time", &[]),
    ("flags_group_processing_time", &[]),
    ("flags_cohort_query_time", &[]),
    ("flags_cohort_processing_time", &[]),
    ("flags_definition_query_time", &[]),
    ("flags_properties_db_fetch_time", &[]),
    ("flags_groups_db_fetch_time", &[]),
    ("flags_groups_cache_fetch_time", &[]),
    ("flags_hash_key_processing_time", &[]),
    ("flags_flag_evaluation_error_total", &["reason"]),
    ("flags_flag_hash_key_writes_total", &[]),
    ("flags_hash_key_retries_total", &["operation"]),
    ("flags_hash_key_query_result_total", &["result"]),
    ("flags_experience_continuity_requests_total", &[]),
    ("flags_experience_continuity_optimized_total", &["status"]),
    ("flags_dependency_graph_build_total", &[]),
    ("flags_dependency_graph_build_ms", &[]),
    ("missing_requested_flag_key", &[]),
    ("flags_flag_definitions_requests_total", &["key"]),
    ("flags_flag_definitions_rate_limited_total", &["key"]),
    ("flags_flag_definitions_rate_limit_bypassed_total", &[]),
    ("flags_flag_definitions_cache_hit_total", &["source"]),
    ("flags_flag_definitions_cache_miss_total", &["reason"]),
    ("flags_flag_definitions_etag_total", &["result"]),
    ("flags_flag_definitions_auth_total", &["method"]),
];

/// Labels of ours on these, told in METRICS.md.
const ADDED: &[(&str, &[&str])] = &[
    ("flags_ip_rate_limit_exceeded_total", &["action"]),
    ("flags_flag_definitions_rate_limited_total", &["mode"]),
];

/// Names without our prefix that the table does not have: those of `storage.md`, of the location lookup, of the process.
const ELSEWHERE: &[&str] = &[
    "geoip_properties_differ_from_lookup",
    "db_connection_created_total",
    "posthog_hypercache_get_from_cache",
    "posthog_hypercache_read_repair",
    "flags_billing_records_total",
    "flags_billing_entries_flushed_total",
    "flags_billing_flush_errors_total",
    "flags_billing_unflushed_requests_total",
    "flags_billing_pending_entries",
    "flags_billing_pending_records",
    "flags_billing_seconds_since_successful_flush",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_threads",
    "process_start_time_seconds",
    "process_open_fds",
];

#[test]
fn the_catalogue_has_the_names_and_labels_of_upstream() {
    let document = include_str!("../../METRICS.md");
    for (name, labels) in UPSTREAM {
        let metric = CATALOG.iter().find(|metric| metric.name == *name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        let added = ADDED.iter().find(|(of, _)| of == name);
        let added = added.map_or(&[][..], |(_, labels)| labels);
        let expected: BTreeSet<&str> = labels.iter().chain(added).copied().collect();
        let actual: BTreeSet<&str> = metric.labels.iter().copied().collect();
        assert_eq!(actual, expected, "{name}");
        let prose = document.lines().filter(|line| !line.starts_with("| `"));
        let prose: String = prose.collect();
        assert!(
            added.iter().all(|label| prose.contains(&format!("`{label}`"))),
            "{name}"
        );
    }
    for metric in CATALOG {
        let known = UPSTREAM.iter().any(|(name, _)| *name == metric.name)
            || ELSEWHERE.contains(&metric.name)
            || metric.name.starts_with("feature_flags_");
        assert!(
            known,
            "{} is neither upstream's nor ours by its name",
            metric.name
        );
    }
}
