//! The text form, Prometheus 0.0.4.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::Ordering;

use super::cells::FixedHistogram;
use super::registry::{Family, Series};

/// Appends one metric: description, type, samples.
pub fn write_family(family: &Family, out: &mut Vec<u8>) {
    let Some((_, first)) = family.series.first() else {
        return;
    };
    let name = &*family.name;
    // Writing to memory does not fail.
    if let Some(help) = &family.help {
        let _ = writeln!(out, "# HELP {name} {}", escaped(help, false));
    }
    let _ = writeln!(out, "# TYPE {name} {}", first.kind());
    for (labels, series) in &family.series {
        match series {
            Series::Counter(counter) => {
                let _ = writeln!(out, "{name}{} {}", Braced(labels, None), counter.value());
            }
            Series::Gauge(bits) => {
                let value = f64::from_bits(bits.load(Ordering::Relaxed));
                let _ = writeln!(out, "{name}{} {}", Braced(labels, None), Number(value));
            }
            Series::Histogram(histogram) => write_histogram(name, labels, histogram, out),
        }
    }
}

fn write_histogram(name: &str, labels: &str, histogram: &FixedHistogram, out: &mut Vec<u8>) {
    let reading = histogram.read();
    let mut count: u64 = 0;
    let bounds = histogram.bounds().iter().copied().chain([f64::INFINITY]);
    for (bound, in_bucket) in bounds.zip(reading.buckets) {
        count = count.wrapping_add(in_bucket);
        let _ = writeln!(out, "{name}_bucket{} {count}", Braced(labels, Some(bound)));
    }
    let braced = Braced(labels, None);
    let _ = writeln!(out, "{name}_sum{braced} {}", Number(reading.sum));
    let _ = writeln!(out, "{name}_count{braced} {count}");
}

/// Labels of a sample, and the bound of a bucket behind them.
struct Braced<'a>(&'a str, Option<f64>);

impl std::fmt::Display for Braced<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0, self.1) {
            ("", None) => Ok(()),
            (labels, None) => write!(out, "{{{labels}}}"),
            ("", Some(bound)) => write!(out, "{{le=\"{}\"}}", Number(bound)),
            (labels, Some(bound)) => write!(out, "{{{labels},le=\"{}\"}}", Number(bound)),
        }
    }
}

struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            f64::INFINITY => out.write_str("+Inf"),
            f64::NEG_INFINITY => out.write_str("-Inf"),
            value if value.is_nan() => out.write_str("NaN"),
            value => value.fmt(out),
        }
    }
}

/// Labels as text, without braces.
pub fn label_text(labels: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        text.push_str(&escaped(value, true));
        text.push('"');
    }
    text
}

/// Backslash and line feed, in label values also quotes.
fn escaped(text: &str, quotes: bool) -> Cow<'_, str> {
    let special = |c: char| matches!(c, '\\' | '\n') || (quotes && c == '"');
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            c if special(c) => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A name that the format allows; anything else in it becomes an underscore.
pub fn metric_name(name: &str) -> Cow<'_, str> {
    valid(name, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// As [`metric_name`]; `le` belongs to the buckets of histograms.
pub fn label_name(name: &str) -> Cow<'_, str> {
    if name == "le" {
        return Cow::Borrowed("exported_le");
    }
    valid(name, |c| c.is_ascii_alphanumeric() || c == '_')
}

fn valid(name: &str, allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    let starts_badly = name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit());
    if !starts_badly && name.chars().all(&allowed) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 1);
    if starts_badly {
        out.push('_');
    }
    out.extend(name.chars().map(|c| if allowed(c) { c } else { '_' }));
    Cow::Owned(out)
}
