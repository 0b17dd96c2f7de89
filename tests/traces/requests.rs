//! Which requests are traced, and what their spans say.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Value, json};

use crate::collector::Collector;
use crate::process::{Process, TOKEN};

/// Request ids.
const FIRST: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";
const LAST: &str = "00000000-0000-4000-8000-0000000000ff";

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn traced(collector: &Collector, ratio: &str) -> Process {
    Process::dev(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()),
        ("OTEL_TRACES_SAMPLER_ARG", ratio),
    ])
}

#[test]
fn a_request_is_a_span_with_its_stages() {
    let collector = Collector::start();
    let process = traced(&collector, "1");
    // The first one loads the team; the second one finds it.
    assert_eq!(process.ask(FIRST, &[]).status, 200);
    assert_eq!(process.ask(SECOND, &[]).status, 200);
    let trace = collector.trace_of(SECOND);
    let request = trace.one("POST /flags");
    let span = &request.span;
    assert_eq!((span.kind(), &span.status), (SpanKind::Server, &None));
    assert_eq!(
        (span.trace_id.len(), span.span_id.len(), span.parent_span_id.len()),
        (16, 8, 0)
    );
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/flags"),
        ("http.response.status_code", "200"),
        ("feature_flags.team_id", "9"),
        ("feature_flags.flags", "2"),
        ("feature_flags.flags_errored", "0"),
        ("feature_flags.team_source", "memory"),
        ("error.type", ""),
    ] {
        assert_eq!(request.text(name), value, "{name}");
    }
    assert_eq!(trace.below(request), ["decode", "encode", "evaluate", "snapshot"]);
    assert_eq!(trace.0.len(), 5);
    let mut before = span.start_time_unix_nano;
    for name in ["decode", "snapshot", "evaluate", "encode"] {
        let stage = &trace.one(name).span;
        assert_eq!(stage.kind(), SpanKind::Internal);
        assert!(
            stage.start_time_unix_nano >= before,
            "{name} begins after what is before it"
        );
        assert!(stage.end_time_unix_nano > stage.start_time_unix_nano);
        before = stage.end_time_unix_nano;
    }
    assert!(span.end_time_unix_nano >= before);
    for (name, value) in [
        ("service.name", "posthog-feature-flags"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(request.resource[name], value);
    }
    // The log's line of the same request.
    let line: Value = serde_json::from_str(&process.line(SECOND)).unwrap();
    assert_eq!(line["trace_id"], hex(&span.trace_id));
    assert_eq!(line["span_id"], hex(&span.span_id));
}

#[test]
fn the_sender_decides_and_is_the_parent() {
    let collector = Collector::start();
    let process = traced(&collector, "0");
    let parent = |flags: &str| format!("traceparent: 00-{TRACE_ID}-{PARENT_ID}-{flags}");
    process.ask(FIRST, &[&parent("00"), "tracestate: a=b"]);
    process.ask(FIRST, &[]);
    process.ask(FIRST, &[&parent("01"), &parent("01")]);
    process.ask(FIRST, &[&format!("traceparent: ff-{TRACE_ID}-{PARENT_ID}-01")]);
    process.ask(LAST, &[&parent("01"), "tracestate: a=b", "tracestate: c=d"]);
    let trace = collector.trace_of(LAST);
    let request = &trace.one("POST /flags").span;
    assert_eq!(
        (hex(&request.trace_id), hex(&request.parent_span_id)),
        (TRACE_ID.into(), PARENT_ID.into())
    );
    assert_eq!(request.trace_state, "a=b,c=d");
    assert_eq!(trace.one("decode").span.parent_span_id, request.span_id);
    assert!(
        serde_json::from_str::<Value>(&process.line(FIRST))
            .unwrap()
            .get("trace_id")
            .is_none()
    );
    process.end();
    let others = collector
        .spans()
        .iter()
        .filter(|received| received.text("feature_flags.request_id") == FIRST)
        .count();
    assert_eq!(others, 0, "only the last one was traced");
}

#[test]
fn an_unsampled_parent_counts_before_the_ratio_and_a_broken_one_does_not() {
    let collector = Collector::start();
    let process = traced(&collector, "1");
    process.ask(FIRST, &[&format!("traceparent: 00-{TRACE_ID}-{PARENT_ID}-00")]);
    process.ask(
        LAST,
        &[
            &format!("traceparent: 00-{TRACE_ID}-0000000000000000-01"),
            "tracestate: a=b",
        ],
    );
    let trace = collector.trace_of(LAST);
    let request = &trace.one("POST /flags").span;
    assert_ne!(hex(&request.trace_id), TRACE_ID);
    assert_eq!((&*request.parent_span_id, &*request.trace_state), (&b""[..], ""));
    process.end();
    assert!(
        collector
            .spans()
            .iter()
            .all(|received| hex(&received.span.trace_id) != TRACE_ID)
    );
}

#[test]
fn stored_facts_are_a_stage_with_its_query() {
    let collector = Collector::start();
    let process = traced(&collector, "1");
    assert_eq!(process.ask_stored(FIRST).status, 200);
    let trace = collector.trace_of(FIRST);
    let request = trace.one("POST /flags");
    assert_eq!(
        trace.below(request),
        ["decode", "encode", "evaluate", "gather", "snapshot"]
    );
    let gather = trace.one("gather");
    assert_eq!(trace.below(gather), ["read facts"]);
    let query = trace.one("read facts");
    assert_eq!(
        (query.span.kind(), query.text("db.system.name")),
        (SpanKind::Client, "sqlite".into())
    );
    assert!(trace.one("evaluate").span.start_time_unix_nano >= gather.span.end_time_unix_nano);
    let snapshot = trace.one("snapshot");
    assert!(
        trace.below(snapshot).contains(&"read definitions"),
        "{:?}",
        trace.names()
    );
}

#[test]
fn refusals_are_no_errors_of_ours() {
    let collector = Collector::start();
    let process = traced(&collector, "1");
    let unknown = json!({ "token": "phc_nobody", "distinct_id": "somebody" });
    assert_eq!(process.flags(FIRST, &[], &unknown).status, 401);
    let trace = collector.trace_of(FIRST);
    let request = trace.one("POST /flags");
    assert_eq!(
        (
            request.text("http.response.status_code"),
            request.text("error.type")
        ),
        ("401".into(), "invalid_token".into())
    );
    assert_eq!(request.span.status, None);
}

#[test]
fn an_outage_is_an_error_down_to_its_query() {
    let collector = Collector::start();
    let url = collector.url();
    let process = Process::start(crate::process::command(
        &["serve"],
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
            ("REDIS_URL", "redis://:hunter2@127.0.0.1:1/"),
            (
                "READ_DATABASE_URL",
                "postgres://somebody:hunter2@127.0.0.1:1/posthog",
            ),
            (
                "WRITE_DATABASE_URL",
                "postgres://somebody:hunter2@127.0.0.1:1/posthog",
            ),
            ("OBJECT_STORAGE_ENDPOINT", "http://127.0.0.1:1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ],
    ));
    assert_eq!(process.ask(FIRST, &[]).status, 503);
    let trace = collector.trace_of(FIRST);
    let request = trace.one("POST /flags");
    let status = request.span.status.as_ref().unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    assert_eq!(request.text("error.type"), status.message);
    let snapshot = trace.one("snapshot");
    assert_eq!(snapshot.span.status.as_ref().unwrap().code(), StatusCode::Error);
    let object = trace.one("S3/GetObject");
    assert_eq!(object.span.parent_span_id, snapshot.span.span_id);
    assert_eq!(object.text("error.type"), "unavailable");
    let said = format!("{trace:?}");
    assert!(!said.contains("hunter2") && !said.contains(TOKEN), "{said}");
}

#[test]
fn definitions_are_traced_and_probes_are_not() {
    let collector = Collector::start();
    let process = traced(&collector, "1");
    assert_eq!(process.get("/_readiness", &[]).status, 200);
    process.get(&format!("/flags/definitions?token={TOKEN}"), &[]);
    let parent = format!("traceparent: 00-{TRACE_ID}-{PARENT_ID}-01");
    process.get("/flags?v=2", &[&parent]);
    process.end();
    let mut names: Vec<_> = collector
        .spans()
        .into_iter()
        .filter(|received| received.span.kind() == SpanKind::Server)
        .map(|received| received.span.name)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["GET /flags", "GET /flags/definitions"]);
}
