//! Reads what is compared out of a text exposition (Prometheus 0.0.4 and OpenMetrics): the dense latency histogram, flag requests by
//! status, and the start of the process. Other lines are passed over, but must be lines of the format.

use std::fmt;

use super::reading::{Bound, Reading};

/// The histogram that versions are compared by (`http.md` 17; `METRICS.md`).
pub const LATENCY: &str = "feature_flags_request_duration_seconds";

/// Requests by route and status.
pub const REQUESTS: &str = "http_requests_total";

/// Routes that evaluate flags.
pub const PATHS: [&str; 4] = ["/flags", "/flags/", "/decide", "/decide/"];

/// Most buckets that a histogram may have; ours has fewer than 210.
pub const BUCKETS_MAX: usize = 10_000;

/// Most labels of a sample.
const LABELS_MAX: usize = 64;

/// Where a text is no exposition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpositionError {
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// See [`ExpositionError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Not of the form `name{label="value"} number`.
    Form,
    /// A count that is negative, no whole number, or too large.
    Count,
    /// A bucket without a usable `le`.
    Bound,
    /// More than [`BUCKETS_MAX`].
    Buckets,
    /// Not UTF-8.
    Text,
    /// The whole: none of the metrics is in it.
    Foreign,
}

impl fmt::Display for ExpositionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            Problem::Form => "not of the form name{label=\"value\"} number",
            Problem::Count => "not a count",
            Problem::Bound => "a bucket without a number as le",
            Problem::Buckets => "too many buckets",
            Problem::Text => "not UTF-8",
            Problem::Foreign => {
                return write!(
                    formatter,
                    "neither {LATENCY} nor {REQUESTS} is in it: is ENABLE_METRICS=true, and is it this service?"
                );
            }
        };
        write!(formatter, "line {}: {problem}", self.line)
    }
}

/// One sample: its name, labels and value.
struct Line<'a> {
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
    value: f64,
}

/// Reads a whole text.
///
/// # Errors
/// Where it is no exposition, or has none of the metrics.
pub fn parse(bytes: &[u8]) -> Result<Reading, ExpositionError> {
    let mut reading = Reading::default();
    let mut found = false;
    for (number, bytes) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |problem| ExpositionError {
            line: number + 1,
            problem,
        };
        let text = std::str::from_utf8(bytes)
            .map_err(|_| wrong(Problem::Text))?
            .trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let line = line(text).ok_or(wrong(Problem::Form))?;
        let label = |wanted: &str| {
            line.labels
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| *value)
        };
        if line.name.strip_suffix("_bucket") == Some(LATENCY) {
            let bound = label("le").and_then(number_of).filter(|bound| *bound > 0.0);
            let bound = Bound(bound.ok_or(wrong(Problem::Bound))?);
            let count = count(line.value).ok_or(wrong(Problem::Count))?;
            let sum = reading.buckets.entry(bound).or_default();
            *sum = sum.checked_add(count).ok_or(wrong(Problem::Count))?;
            if reading.buckets.len() > BUCKETS_MAX {
                return Err(wrong(Problem::Buckets));
            }
            found = true;
        } else if line.name == REQUESTS {
            found = true;
            if label("path").is_some_and(|path| PATHS.contains(&path)) {
                let status = label("status").and_then(|status| status.parse().ok());
                let status = status
                    .filter(|status| (100..=999).contains(status))
                    .ok_or(wrong(Problem::Form))?;
                let count = count(line.value).ok_or(wrong(Problem::Count))?;
                let sum: &mut u64 = reading.statuses.entry(status).or_default();
                *sum = sum.checked_add(count).ok_or(wrong(Problem::Count))?;
            }
        } else if line.name == "process_start_time_seconds" {
            reading.started = Some(line.value);
        }
    }
    if found {
        Ok(reading)
    } else {
        Err(ExpositionError {
            line: 0,
            problem: Problem::Foreign,
        })
    }
}

/// A number as the format writes it.
#[must_use]
pub fn number_of(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text => text.parse().ok(),
    }
}

/// A whole number up to 2^53.
fn count(value: f64) -> Option<u64> {
    ((0.0..=9_007_199_254_740_992.0).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

fn line(text: &str) -> Option<Line<'_>> {
    let name_end = text.find(['{', ' ', '\t'])?;
    let (name, mut rest) = text.split_at_checked(name_end)?;
    if name.is_empty()
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
    {
        return None;
    }
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = rest.split_once("=\"")?;
            let end = value_end(after)?;
            labels.push((label.trim(), after.get(..end)?));
            rest = after.get(end + 1..)?;
            if labels.len() > LABELS_MAX {
                return None;
            }
        }
    }
    // A time stamp and an exemplar may follow.
    let value = number_of(rest.split_ascii_whitespace().next()?)?;
    Some(Line { name, labels, value })
}

/// Where the closing quote is. Escapes are left as they are: no value that is looked for has one.
fn value_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS_MAX, LATENCY, Problem, parse};
    use crate::canary::reading::Bound;

    #[test]
    fn only_what_is_compared_is_read() {
        let text = format!(
            "# HELP x y\n# TYPE {LATENCY} histogram\n{LATENCY}_bucket{{le=\"0.001\"}} 5\n{LATENCY}_bucket{{le=\"+Inf\"}} 7 1700000000\n\
             {LATENCY}_sum 0.1\n{LATENCY}_count 7\nhttp_requests_total{{method=\"POST\",path=\"/flags\",status=\"200\"}} 6\n\
             http_requests_total{{method=\"POST\",path=\"/decide/\",status=\"200\"}} 1\n\
             http_requests_total{{method=\"GET\",path=\"/metrics\",status=\"500\"}} 9\nother{{a=\"x\\\"}} 3\",b=\"\"}} NaN\n\
             process_start_time_seconds 12.5\n"
        );
        let reading = parse(text.as_bytes()).unwrap();
        assert_eq!(reading.buckets.get(&Bound(0.001)), Some(&5));
        assert_eq!(reading.buckets.get(&Bound(f64::INFINITY)), Some(&7));
        assert_eq!(reading.statuses.into_iter().collect::<Vec<_>>(), [(200, 7)]);
        assert_eq!(reading.started, Some(12.5));
    }

    #[test]
    fn hostile_texts_are_refused_with_their_line() {
        let bucket = |le: &str, count: &str| format!("{LATENCY}_bucket{{le=\"{le}\"}} {count}\n");
        let many: String = (0..=BUCKETS_MAX)
            .map(|at| bucket(&format!("{}", at + 1), "1"))
            .collect();
        for (text, problem, line) in [
            (b"ok 1\n<html>".to_vec(), Problem::Form, 2),
            (b"a{b=\"c} 1".to_vec(), Problem::Form, 1),
            (b"a{b} 1".to_vec(), Problem::Form, 1),
            (b"a".to_vec(), Problem::Form, 1),
            (b"a b".to_vec(), Problem::Form, 1),
            (b"a \xff".to_vec(), Problem::Text, 1),
            (bucket("x", "1").into_bytes(), Problem::Bound, 1),
            (bucket("NaN", "1").into_bytes(), Problem::Bound, 1),
            (bucket("-1", "1").into_bytes(), Problem::Bound, 1),
            (bucket("1", "-1").into_bytes(), Problem::Count, 1),
            (bucket("1", "1.5").into_bytes(), Problem::Count, 1),
            (bucket("1", "NaN").into_bytes(), Problem::Count, 1),
            (bucket("1", "1e300").into_bytes(), Problem::Count, 1),
            (many.into_bytes(), Problem::Buckets, BUCKETS_MAX + 1),
            (b"up 1\n".to_vec(), Problem::Foreign, 0),
            (Vec::new(), Problem::Foreign, 0),
            (
                format!("x{{{}}} 1", "a=\"b\",".repeat(1000)).into_bytes(),
                Problem::Form,
                1,
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert_eq!((error.problem, error.line), (problem, line), "{error}");
        }
    }
}
