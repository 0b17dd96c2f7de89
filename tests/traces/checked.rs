//! What `check` says of the collector.

use crate::collector::{Collector, Reply};
use crate::process::run;

/// The line of the table, and the one behind it.
fn row(variables: &[(&str, &str)]) -> Option<String> {
    let output = run(&["check"], variables);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text
        .lines()
        .skip_while(|line| !line.starts_with("traces "))
        .take(2);
    let row = lines.next()?.split_whitespace().collect::<Vec<_>>().join(" ");
    let advice = lines.next().unwrap_or_default().trim_start();
    Some(if advice.starts_with("->") {
        format!("{row} {advice}")
    } else {
        row
    })
}

#[test]
fn a_collector_is_asked_and_what_is_wrong_is_said() {
    let collector = Collector::start();
    let (url, endpoint) = (collector.url(), "OTEL_EXPORTER_OTLP_ENDPOINT");
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    assert_eq!(row(&[]), None);
    let good = format!("traces {endpoint} ok {url} (grpc): it takes traces");
    assert_eq!(row(&[(endpoint, &url)]), Some(good));
    let good = format!("traces {endpoint} ok {url} (http/protobuf): it takes traces");
    assert_eq!(row(&[(endpoint, &url), http]), Some(good));
    assert!(collector.spans().is_empty());
    collector.answer(&[Reply::Refuse(16)]);
    let refused = row(&[(endpoint, &url)]).unwrap();
    assert!(
        refused.contains(" warning ") && refused.contains("grpc-status 16 -> "),
        "{refused}"
    );
    let away = row(&[(endpoint, "http://127.0.0.1:1")]).unwrap();
    assert!(
        away.contains("warning http://127.0.0.1:1 (grpc): not reachable"),
        "{away}"
    );
    let off = row(&[(endpoint, &url), ("OTEL_LOG_LEVEL", "error")]).unwrap();
    assert_eq!(off, "traces OTEL_LOG_LEVEL ok off: all spans are info");
}
