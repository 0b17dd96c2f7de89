//! The log of processes: a line for each evaluation request, with the fields of `http.md` 18.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Process, TEAM, TOKEN};

/// Fields whose values a test cannot know, apart from their kind.
fn masked(mut line: Value) -> Value {
    let object = line.as_object_mut().unwrap();
    for (name, value) in object.iter_mut() {
        if name.ends_with("_ms") {
            assert!(
                value.as_f64().is_some_and(|time| (0.0..30_000.0).contains(&time)),
                "{name}: {value}"
            );
            *value = json!("time");
        }
    }
    let stamp = object["timestamp"].as_str().unwrap().to_owned();
    assert!(
        stamp.len() == 27 && stamp.ends_with('Z') && stamp.starts_with("20"),
        "{stamp}"
    );
    object.insert("timestamp".to_owned(), json!("stamp"));
    line
}

const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

#[test]
fn an_evaluation_that_reads_a_person() {
    let process = Process::dev(&[]);
    let headers = [
        &*format!("x-request-id: {ID}"),
        "user-agent: posthog-node/4.2.0 (phc_in_an_agent)",
        "x-forwarded-for: 203.0.113.9, 10.0.0.1",
    ];
    let body = json!({ "token": TOKEN, "distinct_id": "stored", "device_id": "device-1",
        "$anon_distinct_id": "anon-1", "person_properties": { "secret": "a value" } });
    let answer = process.post("/flags/?v=2", &headers, &body);
    assert_eq!(answer.json()["requestId"], ID);
    let line = masked(process.request_line());
    let expected = json!({
        "timestamp": "stamp", "level": "INFO", "message": "canonical_log_line",
        "request_id": ID, "team_id": TEAM, "distinct_id": "stored", "device_id": "device-1",
        "anon_distinct_id": "anon-1",
        "ip": "203.0.113.9", "user_agent": "posthog-node/4.2.0 (phc_***)", "lib": "posthog-node",
        "lib_version": "4.2.0", "api_version": 2,
        "http_status": 200, "duration_ms": "time", "flags_evaluated": 2, "flags_errored": 0,
        "flags_disabled": false, "quota_limited": false, "rate_limited": false, "rate_limit_warned": false,
        "evaluation_type": "sequential", "flags_experience_continuity": 0, "flags_device_id_bucketing": 0,
        "dependency_graph_errors": 0,
        "team_cache_source": "redis", "flags_cache_source": "redis",
        "db_property_fetches": 1, "person_queries": 1, "group_queries": 0, "static_cohort_queries": 0,
        "property_cache_hits": 0, "property_cache_misses": 1,
        "person_query_time_ms": "time", "concurrency_limit_wait_ms": "time",
    });
    assert_eq!(line, expected);
    // A second one finds the team in memory.
    process.post("/flags?v=2", &["x-request-start: t=1"], &body);
    let line = process.request_line();
    assert_eq!(line["team_cache_source"], "memory");
    assert!(line["queue_time_ms"].as_f64().is_some_and(|time| time > 1e9));
}

#[test]
fn an_evaluation_that_is_switched_off() {
    let process = Process::dev(&[]);
    let body = json!({ "token": TOKEN, "distinct_id": "somebody", "disable_flags": true });
    process.post("/decide?v=3&ver=1.2.3", &["user-agent: Mozilla/5.0"], &body);
    let line = process.request_line();
    assert_eq!(line["distinct_id"], "disabled");
    assert_eq!(line["flags_disabled"], true);
    assert_eq!(line["flags_evaluated"], 0);
    assert_eq!(
        (&line["lib"], &line["lib_version"]),
        (&json!("web"), &json!("1.2.3"))
    );
    assert_eq!(line.get("evaluation_type"), None);
}

#[test]
fn failures_have_their_code_and_no_token() {
    let process = Process::dev(&[]);
    let cases: [(&str, &[u8], u64, &str); 6] = [
        (
            "/flags",
            br#"{"token":"phc_nobody_at_all","distinct_id":"phc_nobody_at_all"}"#,
            401,
            "invalid_token",
        ),
        ("/flags", br#"{"distinct_id":"x"}"#, 401, "missing_token"),
        (
            "/flags",
            br#"{"token":"phc_telemetry_seven"}"#,
            400,
            "missing_distinct_id",
        ),
        ("/flags", b"phc_no_json {", 400, "request_decoding_error"),
        ("/flags?_=phc_query", b"{}", 400, "bad_request"),
        ("/decide/?v=1&v=2", b"{}", 400, "bad_request"),
    ];
    for (path, body, status, code) in cases {
        let answer =
            process
                .client()
                .request(&format!("POST {path}"), &["content-type: application/json"], body);
        assert_eq!(u64::from(answer.status), status, "{path}");
        let line = process.line(|line| line.contains("canonical_log_line"));
        assert!(
            !line.contains("nobody") && !line.contains("phc_q") && !line.contains("phc_no"),
            "{line}"
        );
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&line["http_status"], &line["error_code"]),
            (&json!(status), &json!(code))
        );
        assert!(line["request_id"].as_str().is_some_and(|id| id.len() == 36));
        assert_eq!(line["ip"], "127.0.0.1");
    }
}

#[test]
fn a_request_over_its_limit_says_so() {
    let process = Process::dev(&[
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_BUCKET_CAPACITY", "1"),
        ("FLAGS_BUCKET_REPLENISH_RATE", "0.001"),
    ]);
    let body = json!({ "token": TOKEN, "distinct_id": "someone" });
    assert_eq!(process.post("/flags?v=2", &[], &body).status, 200);
    let first = process.request_line();
    assert_eq!(
        (&first["http_status"], &first["rate_limited"]),
        (&json!(200), &json!(false))
    );
    assert_eq!(
        process.post("/flags?v=2", &["user-agent: curl/8"], &body).status,
        429
    );
    let line = masked(process.request_line());
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        (
            &line["http_status"],
            &line["error_code"],
            &line["rate_limited"],
            &line["user_agent"]
        ),
        (
            &json!(429),
            &json!("token_rate_limited"),
            &json!(true),
            &json!("curl/8")
        )
    );
    assert!(!line.to_string().contains(TOKEN), "{line}");
}

#[test]
fn only_evaluations_get_a_line() {
    let mut process = Process::dev(&[]);
    let mut client = process.client();
    for line in [
        "GET /flags",
        "OPTIONS /flags",
        "HEAD /decide",
        "PUT /flags",
        "GET /_readiness",
        "GET /nowhere",
    ] {
        client.request(line, &[], b"");
    }
    drop(client);
    process.post("/flags", &[], &json!({ "token": TOKEN, "distinct_id": "x" }));
    // What was said last is written before the process ends.
    let said = process.end();
    let lines = said.iter().filter(|line| line.contains("canonical_log_line"));
    assert_eq!(lines.count(), 1, "{said:?}");
    for line in &said {
        serde_json::from_str::<Value>(line).expect("every line is JSON");
    }
    assert!(
        said.iter()
            .any(|line| line.contains("ending once requests in flight are answered"))
    );
}

#[test]
fn an_outage_is_503_and_says_no_password() {
    let process = Process::serve_alone(&[]);
    let answer = process.post("/flags", &[], &json!({ "token": TOKEN, "distinct_id": "x" }));
    assert_eq!(answer.status, 503);
    let line = process.line(|line| {
        assert!(!line.contains("hunter2"), "{line}");
        let line: Value = serde_json::from_str(line).expect("every line is JSON");
        line["message"] == "canonical_log_line"
    });
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["http_status"], &line["error_code"]),
        (&json!(503), &json!("database_unavailable"))
    );
    assert_eq!(line.get("team_id"), None);
    assert_eq!(line["distinct_id"], "x");
}

#[test]
fn people_get_lines_for_people_and_levels_are_kept() {
    let process = Process::dev(&[("DEBUG", "true")]);
    process.post("/flags", &[], &json!({ "token": TOKEN, "distinct_id": "x" }));
    let line = process.line(|line| line.contains("canonical_log_line"));
    assert!(
        line.contains(" INFO canonical_log_line ") && line.contains(" http_status=200 "),
        "{line}"
    );
    let mut quiet = Process::dev(&[("LOG_LEVEL", "warn"), ("MAXMIND_DB_PATH", "")]);
    quiet.post("/flags", &[], &json!({ "token": TOKEN, "distinct_id": "x" }));
    assert_eq!(quiet.end(), Vec::<String>::new());
}

#[test]
fn a_share_of_the_successes_and_every_failure() {
    let mut process = Process::dev(&[("LOG_SAMPLE_RATE", "0")]);
    for _ in 0..5 {
        process.post("/flags", &[], &json!({ "token": TOKEN, "distinct_id": "x" }));
    }
    for _ in 0..3 {
        process.post(
            "/flags",
            &[],
            &json!({ "token": "phc_nobody", "distinct_id": "x" }),
        );
    }
    let said = process.end();
    let lines: Vec<&String> = said
        .iter()
        .filter(|line| line.contains("canonical_log_line"))
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.contains("invalid_token")));
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing_and_its_losses_are_counted() {
    let variables = [("ENABLE_METRICS", "true"), ("LOG_QUEUE_RECORDS", "64")];
    let (process, mut errors) = Process::unread(&variables);
    let body =
        json!({ "token": TOKEN, "distinct_id": "x", "person_properties": { "plan": "pro" } }).to_string();
    let mut client = process.client();
    let began = Instant::now();
    let mut sent = 0;
    // The pipe holds 64 KiB, the writer 64 KiB more, the queues 64 lines: some 200 lines of 800 bytes.
    while sent < 1000 || process.metrics().sum("feature_flags_log_dropped_total") < 100.0 {
        for _ in 0..100 {
            let answer = client.request(
                "POST /flags?v=2",
                &["content-type: application/json"],
                body.as_bytes(),
            );
            assert_eq!(answer.status, 200);
        }
        sent += 100;
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{sent} sent and nothing dropped"
        );
    }
    let dropped = process.metrics().sum("feature_flags_log_dropped_total");
    assert!(dropped < f64::from(sent));
    // Once somebody reads again, the loss is said, and lines go on.
    let mut text = Vec::new();
    let mut piece = [0; 16 * 1024];
    while !String::from_utf8_lossy(&text).contains("log lines dropped") {
        let read = errors.read(&mut piece).unwrap();
        assert!(read > 0, "the log ended");
        text.extend_from_slice(&piece[..read]);
    }
    let text = String::from_utf8_lossy(&text);
    let whole = text
        .lines()
        .filter(|line| line.contains("canonical_log_line"))
        .count();
    assert!(
        // Few, when the writer had no turn while the queue filled.
        whole > 0 && (whole as f64) <= f64::from(sent) - dropped + 1.0,
        "{whole}"
    );
}
