//! `/metrics` of processes that were asked something.

use serde_json::{Value, json};

use crate::process::{Process, TEAM, TOKEN};

const ON: (&str, &str) = ("ENABLE_METRICS", "true");
const QUIET: (&str, &str) = ("LOG_LEVEL", "off");

fn body(distinct_id: &str) -> Value {
    json!({ "token": TOKEN, "distinct_id": distinct_id })
}

#[test]
fn without_the_switch_there_is_no_such_route() {
    let process = Process::dev(&[QUIET]);
    let mut client = process.client();
    for line in ["GET /metrics", "HEAD /metrics", "POST /metrics"] {
        let answer = client.request(line, &[], b"");
        assert_eq!((answer.status, answer.body.len()), (404, 0), "{line}");
    }
    let preflight = client.request("OPTIONS /metrics", &[], b"");
    assert_eq!(preflight.header("allow"), None);
}

#[test]
fn with_it_the_route_behaves_as_a_probe() {
    let process = Process::dev(&[ON, QUIET]);
    let mut client = process.client();
    let head = client.request("HEAD /metrics", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let post = client.request("POST /metrics", &[], b"");
    assert_eq!((post.status, post.header("allow")), (405, Some("GET,HEAD")));
    assert_eq!(client.request("GET /metrics/", &[], b"").status, 404);
    process.metrics();
}

#[test]
fn http_counters_equal_the_requests_sent() {
    let process = Process::dev(&[ON, QUIET]);
    let before = process.metrics();
    let mut client = process.client();
    let sent = [
        ("GET /flags", 200, 3),
        ("HEAD /flags/", 200, 2),
        ("PUT /decide", 405, 2),
        ("BREW /decide/", 405, 2),
        ("OPTIONS /flags", 200, 4),
        ("GET /nowhere", 404, 2),
        ("GET /nowhere-else", 404, 3),
        ("GET /_liveness", 200, 2),
        ("GET /", 200, 1),
        ("HEAD /flags/definitions?token=phc_x", 200, 2),
        ("GET /flags?_=x", 400, 1),
    ];
    for (line, status, times) in sent {
        for _ in 0..times {
            assert_eq!(client.request(line, &[], b"").status, status, "{line}");
        }
    }
    let metrics = process.metrics();
    for (method, path, status, count) in [
        ("GET", "/flags", "200", 3.0),
        ("GET", "/flags", "400", 1.0),
        ("HEAD", "/flags/", "200", 2.0),
        ("PUT", "/decide", "405", 2.0),
        ("other", "/decide/", "405", 2.0),
        ("OPTIONS", "/flags", "200", 4.0),
        ("GET", "unmatched", "404", 5.0),
        ("GET", "/_liveness", "200", 2.0),
        ("GET", "/", "200", 1.0),
        ("HEAD", "/flags/definitions", "200", 2.0),
    ] {
        let labels = [("method", method), ("path", path), ("status", status)];
        let requests = metrics.value("http_requests_total", &labels);
        let timed = metrics.value("http_requests_duration_seconds_count", &labels);
        assert_eq!((requests, timed), (count, count), "{labels:?}");
    }
    // The look before is a request, too; the present one ends after its own text was written.
    let total: i32 = sent.iter().map(|(.., times)| times).sum();
    let difference = metrics.sum("http_requests_total") - before.sum("http_requests_total");
    assert_eq!(difference, f64::from(total + 1));
    // Only evaluations count as such.
    assert_eq!(metrics.sum("flags_requests_total"), 0.0);
}

#[test]
fn evaluations_are_counted_by_what_became_of_them() {
    let process = Process::dev(&[ON, QUIET]);
    for _ in 0..40 {
        // Brings the property along: nothing stored is asked.
        let mut body = body("someone");
        body["person_properties"] = json!({ "plan": "pro" });
        assert_eq!(process.post("/flags?v=2", &[], &body).status, 200);
    }
    for _ in 0..3 {
        let answer = process.post("/decide?v=3", &["x-request-start: t=1"], &body("stored"));
        assert_eq!(answer.status, 200);
    }
    for _ in 0..2 {
        let mut body = body("someone");
        body["disable_flags"] = json!(true);
        assert_eq!(process.post("/flags?v=2", &[], &body).status, 200);
    }
    let unknown = json!({ "token": "phc_nobody", "distinct_id": "x" });
    for _ in 0..5 {
        assert_eq!(process.post("/flags", &[], &unknown).status, 401);
    }
    assert_eq!(
        process.post("/flags", &[], &json!({ "token": TOKEN })).status,
        400
    );
    let mut keys = body("someone");
    keys["flag_keys"] = json!(["always", "no-such", "nor-this"]);
    assert_eq!(process.post("/flags?v=2", &[], &keys).status, 200);
    let base64 = base64_simd::STANDARD.encode_to_string(keys.to_string());
    let answer = process.client().request(
        "POST /flags?v=2",
        &["content-type: text/plain"],
        base64.as_bytes(),
    );
    assert_eq!(answer.status, 200);

    let metrics = process.metrics();
    let team = TEAM.to_string();
    let of = |disabled: &'static str, team: &str| {
        let labels = [("flags_disabled", disabled), ("team_id", team)];
        let (count, timed) = (
            metrics.value("flags_requests_total", &labels),
            metrics.value("flags_requests_duration_ms_count", &labels),
        );
        assert_eq!(count, timed, "{labels:?}");
        count
    };
    // 40 + 3, the one without an id, and two with keys.
    assert_eq!(of("false", &team), 46.0);
    assert_eq!(of("true", &team), 2.0);
    assert_eq!(of("false", "not_available"), 5.0);
    let value = |name: &str| metrics.value(name, &[]);
    assert_eq!(value("feature_flags_request_duration_seconds_count"), 47.0);
    assert_eq!(value("flags_concurrency_limit_wait_ms_count"), 53.0);
    assert_eq!(value("flags_queue_time_ms_count"), 3.0);
    assert_eq!(value("flags_property_cache_misses_total"), 3.0);
    assert_eq!(value("flags_db_person_and_group_properties_reads_total"), 3.0);
    assert_eq!(value("flags_person_query_time_count"), 3.0);
    let operation = [("team_id", &*team), ("operation_type", "person_query")];
    assert_eq!(
        metrics.value("flags_db_operations_per_request_count", &operation),
        3.0
    );
    assert_eq!(value("flags_property_cache_hits_total"), 42.0);
    assert_eq!(value("missing_requested_flag_key"), 4.0);
    assert_eq!(value("feature_flags_snapshots"), 1.0);
    assert!(value("feature_flags_snapshot_bytes") > 1000.0);
    assert_eq!(
        metrics.value(
            "flags_token_validation_errors_total",
            &[("reason", "token_not_found")]
        ),
        5.0
    );
    assert_eq!(value("flags_team_negative_cache_hit_total"), 4.0);
    let kludge = |kind| metrics.value("flags_request_kludge_total", &[("type", kind)]);
    assert_eq!(kludge("base64_fallback_success"), 1.0);
    let held = metrics.value("flags_team_cache_hit_total", &[("cache_hit", "true")]);
    let loaded = metrics.value("flags_team_cache_hit_total", &[("cache_hit", "false")]);
    assert_eq!((held + loaded, loaded), (48.0, 1.0));
    // One in 16 of them, counted on each thread that serves.
    let sampled = value("flags_evaluation_time_count");
    assert!((1.0..=4.0).contains(&sampled), "{sampled}");
    for stage in ["decode", "snapshot", "evaluate", "encode"] {
        let timed = metrics.value("feature_flags_stage_duration_seconds_count", &[("stage", stage)]);
        assert_eq!(timed, sampled, "{stage}");
    }
    for flag in ["flags_get_match_time", "flags_evaluate_all_conditions_time"] {
        assert_eq!(value(&format!("{flag}_count")), sampled, "{flag}");
    }
    // Also of requests that were refused afterwards, or not evaluated.
    for part in ["flags_rate_limit_check_ms", "flags_token_extract_ms"] {
        let timed = value(&format!("{part}_count"));
        assert!((sampled..=4.0).contains(&timed), "{part}: {timed}");
    }
    assert_eq!(value("flags_person_processing_time_count"), 3.0);
    assert_eq!(value("flags_cohort_processing_time_count"), 0.0);
}

#[test]
fn teams_outside_the_tracked_set_share_a_label() {
    let process = Process::dev(&[ON, QUIET, ("TEAM_IDS_TO_TRACK", "8,9")]);
    process.post("/flags?v=2", &[], &body("someone"));
    let metrics = process.metrics();
    let labels = [("flags_disabled", "false"), ("team_id", "unknown")];
    assert_eq!(metrics.value("flags_requests_total", &labels), 1.0);
    assert_eq!(metrics.sum("flags_requests_total"), 1.0);
}

#[test]
fn a_flood_of_paths_methods_and_tokens_makes_no_series() {
    let process = Process::dev(&[ON, QUIET]);
    process.post(
        "/flags",
        &[],
        &json!({ "token": "phc_nobody", "distinct_id": "x" }),
    );
    let mut client = process.client();
    client.request("GET /nowhere", &[], b"");
    client.request("BREW /nowhere", &[], b"");
    process.metrics();
    let count = |process: &Process| -> usize {
        let metrics = process.metrics();
        metrics.families.values().map(|family| family.samples.len()).sum()
    };
    let before = count(&process);
    for number in 0..300 {
        client.request(&format!("GET /nowhere/{number}"), &[], b"");
        client.request(&format!("BREW{number} /nowhere"), &[], b"");
        let token = json!({ "token": format!("phc_flood_{number}"), "distinct_id": "x" });
        client.request(
            "POST /flags",
            &["content-type: application/json"],
            token.to_string().as_bytes(),
        );
    }
    assert_eq!(count(&process), before);
}

#[test]
fn an_outage_is_counted_as_fault_and_by_pool() {
    let process = Process::serve_alone(&[ON, QUIET]);
    for _ in 0..2 {
        let answer = process.post("/flags", &[], &body("someone"));
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    let metrics = process.metrics();
    assert_eq!(
        metrics.value("flags_request_faults_total", &[("team_id", "not_available")]),
        2.0
    );
    assert!(metrics.sum("flags_database_error_total") >= 1.0);
    assert!(
        metrics.value(
            "posthog_tombstone_total",
            &[
                ("failure_type", "hypercache_miss"),
                ("namespace", "team_metadata"),
                ("value", "full_metadata.json")
            ]
        ) >= 1.0
    );
    let max = metrics.value(
        "flags_db_connection_pool_max_total",
        &[("pool", "non_persons_reader")],
    );
    assert_eq!(max, 10.0);
}

#[test]
fn metrics_are_read_while_requests_are_counted() {
    let process = Process::dev(&[ON, QUIET]);
    let body = body("someone").to_string();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut client = process.client();
            let body = &body;
            scope.spawn(move || {
                for _ in 0..300 {
                    let answer = client.request(
                        "POST /flags?v=2",
                        &["content-type: application/json"],
                        body.as_bytes(),
                    );
                    assert_eq!(answer.status, 200);
                }
            });
        }
        for _ in 0..20 {
            // Every text is whole in itself, whatever is recorded meanwhile.
            process.metrics();
        }
    });
    let labels = [("flags_disabled", "false"), ("team_id", "7")];
    assert_eq!(process.metrics().value("flags_requests_total", &labels), 600.0);
}
