//! How traces reach the collector, and what happens when they do not.

use std::time::Duration;

use hyper::Version;

use crate::collector::{Collector, Reply};
use crate::process::Process;

const FIRST: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";

fn traced(collector: &Collector, more: &[(&str, &str)]) -> Process {
    let url = collector.url();
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("ENABLE_METRICS", "true"),
    ];
    variables.extend_from_slice(more);
    Process::dev(&variables)
}

#[test]
fn headers_and_resource_go_with_either_protocol() {
    for (protocol, version) in [
        ("grpc", Version::HTTP_2),
        ("http/protobuf", Version::HTTP_11),
        ("", Version::HTTP_2),
    ] {
        let collector = Collector::start();
        let process = traced(
            &collector,
            &[
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20word,x-tenant=7"),
                (
                    "OTEL_RESOURCE_ATTRIBUTES",
                    "deployment.environment.name=test%2C1,service.name=other",
                ),
                ("OTEL_SERVICE_NAME", "flags-of-a-test"),
            ],
        );
        process.ask(FIRST, &[]);
        let trace = collector.trace_of(FIRST);
        let resource = &trace.0[0].resource;
        assert_eq!(resource["deployment.environment.name"], "test,1");
        assert_eq!(resource["service.name"], "flags-of-a-test");
        let exports = collector.exports();
        assert_eq!(exports[0].0, version, "{protocol}");
        assert_eq!(exports[0].1["api-key"], "a word");
        assert_eq!(exports[0].1["x-tenant"], "7");
    }
}

#[test]
fn what_may_pass_is_sent_again_and_comes_once() {
    for (protocol, busy) in [("grpc", 14), ("http/protobuf", 503)] {
        let collector = Collector::start();
        collector.answer(&[Reply::Refuse(busy)]);
        let process = traced(&collector, &[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        process.ask(FIRST, &[]);
        collector.trace_of(FIRST).one("POST /flags");
        assert_eq!(collector.exports().len(), 2);
        assert!(process.metric("feature_flags_trace_spans_exported_total") >= 5.0);
        assert!(process.metric("feature_flags_trace_export_failures_total") >= 1.0);
    }
}

#[test]
fn a_refusal_is_final_counted_and_said_once() {
    for (protocol, refusal) in [("grpc", 7), ("http/protobuf", 403)] {
        let collector = Collector::start();
        collector.answer(&[Reply::Refuse(refusal)]);
        let process = traced(&collector, &[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        process.ask(FIRST, &[]);
        let line = process.line("traces:");
        assert!(
            line.contains("does not take them") && line.contains(&refusal.to_string()),
            "{line}"
        );
        assert!(process.metric("feature_flags_trace_spans_dropped_total{reason=\"not_taken\"}") >= 5.0);
        process.ask(SECOND, &[]);
        process.line("takes them again");
        collector.trace_of(SECOND);
        assert!(
            collector
                .spans()
                .iter()
                .all(|received| received.text("feature_flags.request_id") != FIRST)
        );
    }
}

#[test]
fn what_is_left_is_exported_at_the_end() {
    let collector = Collector::start();
    let process = traced(&collector, &[]);
    process.ask(FIRST, &[]);
    process.end();
    // Nothing is waited for: the process has ended.
    let ids: Vec<_> = collector
        .spans()
        .iter()
        .map(|received| received.text("feature_flags.request_id"))
        .collect();
    assert!(ids.contains(&FIRST.to_owned()), "{ids:?}");
}

#[test]
fn a_collector_that_hangs_holds_nobody_up() {
    let collector = Collector::start();
    collector.answer_always(Reply::Silence);
    let process = traced(&collector, &[("OTEL_EXPORT_TIMEOUT_SECS", "1")]);
    for _ in 0..100 {
        assert_eq!(process.ask(FIRST, &[]).status, 200);
    }
    collector.wait("an export", |_, exports| (!exports.is_empty()).then_some(()));
    let took = process.end();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn nobody_is_spoken_to_when_it_is_off() {
    let collector = Collector::start();
    let url = collector.url();
    for variables in [
        vec![("OTEL_TRACES_SAMPLER_ARG", "1")],
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
            ("OTEL_LOG_LEVEL", "warn"),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ],
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
            ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ],
    ] {
        let process = Process::dev(&variables);
        process.ask(FIRST, &[]);
        process.end();
    }
    assert!(collector.exports().is_empty());
}
