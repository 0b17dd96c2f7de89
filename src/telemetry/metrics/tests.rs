//! The recorder without HTTP: what is recorded is what is shown, whatever threads recorded it.

use std::collections::HashSet;

use metrics::{Key, Label, Metadata, Recorder};

use super::recorder::SharedRecorder;
use super::registry::SERIES_MAX;
use super::{Exporter, catalog};

const METADATA: Metadata<'static> = Metadata::new("tests", metrics::Level::INFO, None);

struct Recorded {
    exporter: Exporter,
    recorder: SharedRecorder,
}

impl Recorded {
    fn new() -> Self {
        let exporter = Exporter::new();
        let recorder = SharedRecorder(std::sync::Arc::clone(&exporter.registry));
        Self { exporter, recorder }
    }

    fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> metrics::Counter {
        self.recorder.register_counter(&key(name, labels), &METADATA)
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.exporter.render()).expect("the format is text");
        text.lines().map(ToOwned::to_owned).collect()
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> = labels
        .iter()
        .map(|(name, value)| Label::new(*name, (*value).to_owned()))
        .collect();
    Key::from_parts(name, labels)
}

#[test]
fn counters_add_up_over_threads() {
    let recorded = Recorded::new();
    let counter = recorded.counter("hits_total", &[("a", "1")]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10_000).for_each(|_| counter.increment(1)));
        }
    });
    assert_eq!(
        recorded.lines(),
        ["# TYPE hits_total counter", "hits_total{a=\"1\"} 80000"]
    );
}

#[test]
fn a_mirrored_counter_shows_the_other_ones_value_and_never_falls() {
    let recorded = Recorded::new();
    let counter = recorded.counter("mirror_total", &[]);
    for value in [5, 3, 9] {
        counter.absolute(value);
    }
    assert_eq!(recorded.lines()[1], "mirror_total 9");
}

#[test]
fn histograms_are_cumulative_and_end_with_their_count() {
    let recorded = Recorded::new();
    let histogram = recorded
        .recorder
        .register_histogram(&key("took_ms", &[("x", "y")]), &METADATA);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| [1.0, 1.5, 10000.0, 20000.0].map(|value| histogram.record(value)));
        }
    });
    histogram.record(f64::NAN);
    let lines = recorded.lines();
    assert_eq!(lines[1], "took_ms_bucket{x=\"y\",le=\"1\"} 4");
    assert_eq!(lines[2], "took_ms_bucket{x=\"y\",le=\"5\"} 8");
    assert_eq!(lines[11], "took_ms_bucket{x=\"y\",le=\"10000\"} 12");
    assert_eq!(lines[12], "took_ms_bucket{x=\"y\",le=\"+Inf\"} 16");
    assert_eq!(lines[13], "took_ms_sum{x=\"y\"} 120010");
    assert_eq!(lines[14], "took_ms_count{x=\"y\"} 16");
}

#[test]
fn gauges_are_set_and_moved() {
    let recorded = Recorded::new();
    let gauge = recorded.recorder.register_gauge(&key("level", &[]), &METADATA);
    gauge.set(2.5);
    gauge.increment(1.0);
    gauge.decrement(0.25);
    assert_eq!(recorded.lines(), ["# TYPE level gauge", "level 3.25"]);
    gauge.set(f64::NEG_INFINITY);
    assert_eq!(recorded.lines()[1], "level -Inf");
}

#[test]
fn text_is_escaped_and_names_are_made_valid() {
    let recorded = Recorded::new();
    recorded
        .recorder
        .describe_counter("odd-name".into(), None, "back\\slash\nand \"quotes\"".into());
    recorded
        .counter("odd-name", &[("1st", "a\"b\\c\nd"), ("le", "x")])
        .increment(1);
    assert_eq!(
        recorded.lines(),
        [
            "# HELP odd_name back\\\\slash\\nand \"quotes\"",
            "# TYPE odd_name counter",
            "odd_name{_1st=\"a\\\"b\\\\c\\nd\",exported_le=\"x\"} 1"
        ]
    );
}

#[test]
fn the_order_of_labels_makes_no_series() {
    let recorded = Recorded::new();
    recorded
        .counter("same_total", &[("a", "1"), ("b", "2")])
        .increment(1);
    recorded
        .counter("same_total", &[("b", "2"), ("a", "1")])
        .increment(1);
    assert_eq!(
        recorded.lines(),
        ["# TYPE same_total counter", "same_total{a=\"1\",b=\"2\"} 2"]
    );
}

#[test]
fn one_name_is_one_kind() {
    let recorded = Recorded::new();
    recorded.counter("thing", &[]).increment(1);
    recorded
        .recorder
        .register_gauge(&key("thing", &[]), &METADATA)
        .set(7.0);
    assert_eq!(recorded.lines(), ["# TYPE thing counter", "thing 1"]);
}

#[test]
fn a_flood_of_label_values_ends_in_other() {
    let recorded = Recorded::new();
    for number in 0..3 * SERIES_MAX {
        let mode = if number % 2 == 0 { "log_only" } else { "enforced" };
        recorded
            .counter(
                "limited_total",
                &[("token", &format!("t{number}")), ("mode", mode)],
            )
            .increment(1);
        recorded
            .counter("closed_total", &[("status", &number.to_string())])
            .increment(1);
    }
    let lines = recorded.lines();
    let of = |name: &str| {
        lines
            .iter()
            .filter(|line| line.starts_with(name))
            .cloned()
            .collect::<Vec<_>>()
    };
    let limited = of("limited_total");
    assert_eq!(limited.len(), SERIES_MAX + 2);
    // 2,000 of 3,000 came too late, half of each mode; none is lost.
    assert!(limited.contains(&"limited_total{mode=\"log_only\",token=\"other\"} 1000".to_owned()));
    assert!(limited.contains(&"limited_total{mode=\"enforced\",token=\"other\"} 1000".to_owned()));
    let closed = of("closed_total");
    assert!(closed.len() < 2 * SERIES_MAX, "{}", closed.len());
    let sum: u64 = closed
        .iter()
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum();
    assert_eq!(sum, 3 * SERIES_MAX as u64);
}

#[test]
fn the_catalogue_names_each_metric_once_and_describes_it() {
    let names: HashSet<_> = catalog::CATALOG.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), catalog::CATALOG.len());
    for metric in catalog::CATALOG {
        assert!(
            !metric.help.is_empty() && !metric.help.ends_with('.'),
            "{}",
            metric.name
        );
    }
    assert!(
        Recorded::new().lines().is_empty(),
        "a description alone is not shown"
    );
}
