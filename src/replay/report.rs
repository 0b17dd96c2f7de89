//! What is said in the end: for people, and as JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::findings::{Finding, Findings};
use super::latency::Latencies;
use super::shown::{body_text, printable};

/// Findings that are printed; the JSON has all.
const PRINTED_MAX: usize = 20;

/// Characters of a body that are printed.
const BODY_CHARS_MAX: usize = 1_000;

/// One of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `--a`.
    A,
    /// `--b`.
    B,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What is known of one server.
#[derive(Debug, Default)]
pub struct SideReport {
    /// Where it is.
    pub url: String,
    /// From the moment at which a request was to be sent to the end of its answer, failures apart.
    pub latencies: Latencies,
    /// The same of answers of 500 and more, and of requests without an answer.
    pub failures: Latencies,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Never sent, because it does not keep up with the rate.
    pub overrun: u64,
    /// Requests without an answer, by why.
    pub errors: BTreeMap<&'static str, u64>,
}

impl SideReport {
    /// Counts an answer.
    pub fn answered(&mut self, status: u16, took: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        if status >= 500 {
            self.failures.record(took);
        } else {
            self.latencies.record(took);
        }
    }
}

/// Lines of the file that were not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// No lines of a recording, or too long.
    pub malformed: u64,
    /// No requests that can be sent.
    pub unsendable: u64,
    /// Of a project token that is a hash which nothing names.
    pub unnamed_tokens: u64,
}

impl Skipped {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.malformed + self.unsendable + self.unnamed_tokens
    }
}

/// The outcome of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// `--a`.
    pub a: SideReport,
    /// `--b`.
    pub b: SideReport,
    /// Requests that were sent, or were to be sent, to both.
    pub requests: u64,
    /// Of these, answered by both and compared.
    pub compared: u64,
    /// Of these, answered with 200 to 299 by both.
    pub succeeded: u64,
    /// Of those compared, with some difference.
    pub different: u64,
    /// Lines that were not sent.
    pub skipped: Skipped,
    /// What differs.
    pub findings: Findings,
    /// How late requests were sent, which is part of the latencies of both.
    pub lateness: Latencies,
    /// Requests a second; `None`: as fast as answers came, so that latencies are those of the sending only.
    pub rate: Option<f64>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Whether some request was answered, or refused, differently.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.findings.is_empty()
    }

    /// What is known of a server, to add to it.
    pub fn side_mut(&mut self, side: Side) -> &mut SideReport {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// Whether latencies have in them what requests waited for: they left at a rate, and none was left out.
    #[must_use]
    pub fn is_corrected(&self) -> bool {
        self.rate.is_some() && self.a.overrun + self.b.overrun == 0
    }

    /// Why the run proves nothing. Differences are proof enough.
    #[must_use]
    pub fn doubt(&self) -> Option<&'static str> {
        if self.compared == 0 {
            Some("no request was answered by both servers")
        } else if self.differs() {
            None
        } else if self.succeeded == 0 {
            Some(
                "no answer that was compared had a status of 2xx: both servers refuse or fail, which proves nothing",
            )
        } else if self.a.overrun + self.b.overrun > 0 {
            Some(
                "requests were left out because a server does not keep up: latencies are those of the rest; choose a lower --rate",
            )
        } else {
            None
        }
    }

    /// Everything, for programs. Durations are in seconds.
    #[must_use]
    pub fn json(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|(subject, finding)| {
                let mut value = finding_json(finding);
                value["flag"] = Value::from(subject.to_string());
                value
            })
            .collect();
        json!({
            "requests": self.requests,
            "compared": self.compared,
            "succeeded": self.succeeded,
            "different": self.different,
            "same": !self.differs(),
            "overrun": self.a.overrun + self.b.overrun,
            "doubt": self.doubt(),
            "skipped": {
                "malformed": self.skipped.malformed,
                "unsendable": self.skipped.unsendable,
                "unnamed_tokens": self.skipped.unnamed_tokens,
            },
            "rate": self.rate,
            "corrected_for_coordinated_omission": self.is_corrected(),
            "took_seconds": self.took.as_secs_f64(),
            "lateness_seconds": latencies_json(&self.lateness),
            "a": side_json(&self.a),
            "b": side_json(&self.b),
            "findings": findings,
            "findings_beyond_bound": self.findings.others,
        })
    }
}

fn side_json(side: &SideReport) -> Value {
    json!({
        "url": side.url,
        "errors": side.errors,
        "statuses": side.statuses,
        "overrun": side.overrun,
        "latency_seconds": latencies_json(&side.latencies),
        "failure_latency_seconds": latencies_json(&side.failures),
    })
}

fn latencies_json(latencies: &Latencies) -> Value {
    json!({
        "count": latencies.count(),
        "p50": latencies.quantile(0.5).as_secs_f64(),
        "p90": latencies.quantile(0.9).as_secs_f64(),
        "p99": latencies.quantile(0.99).as_secs_f64(),
        "p99.9": latencies.quantile(0.999).as_secs_f64(),
        "max": latencies.max().as_secs_f64(),
    })
}

fn finding_json(finding: &Finding) -> Value {
    let fields: BTreeMap<&str, u64> = finding
        .fields
        .iter()
        .map(|(field, count)| (field.name(), *count))
        .collect();
    let example = &finding.example;
    let request = &example.request;
    let headers: BTreeMap<&String, &String> = request
        .headers
        .iter()
        .map(|(name, value)| (name, value))
        .collect();
    let body = match std::str::from_utf8(&request.body) {
        Ok(text) => json!({ "body": text }),
        Err(_) => json!({ "body_base64": base64_simd::STANDARD.encode_to_string(&request.body) }),
    };
    let mut sent = json!({
        "method": request.method,
        "target": request.target,
        "headers": headers,
        "wrapping": request.wrapping,
        "shrunk": example.shrunk,
    });
    if let (Value::Object(sent), Value::Object(body)) = (&mut sent, body) {
        sent.extend(body);
    }
    json!({
        "fields": fields,
        "example": {
            "field": example.difference.field.name(),
            "a": example.difference.a,
            "b": example.difference.b,
            "request": sent,
        },
    })
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} requests to each server in {:.1} s; {} compared, {} different",
            self.requests,
            self.took.as_secs_f64(),
            self.compared,
            self.different
        )?;
        for (name, side) in [("a", &self.a), ("b", &self.b)] {
            let statuses: Vec<String> = side
                .statuses
                .iter()
                .map(|(status, count)| format!("{count} of {status}"))
                .collect();
            if !statuses.is_empty() {
                writeln!(out, "{name}: answers by status: {}", statuses.join(", "))?;
            }
            if side.overrun > 0 {
                writeln!(
                    out,
                    "{name}: WARNING: {} requests were not sent, because it does not keep up with the rate: latencies leave them out",
                    side.overrun
                )?;
            }
        }
        if self.skipped.total() > 0 {
            let Skipped {
                malformed,
                unsendable,
                unnamed_tokens,
            } = self.skipped;
            writeln!(
                out,
                "lines left out: {malformed} malformed, {unsendable} not sendable, {unnamed_tokens} with a hashed token that no --token names"
            )?;
        }
        self.latency_table(out)?;
        for (name, side) in [("a", &self.a), ("b", &self.b)] {
            for (error, count) in &side.errors {
                writeln!(out, "{name}: {count} requests without an answer: {error}")?;
            }
        }
        self.findings_text(out)
    }
}

impl Report {
    fn latency_table(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rate {
            Some(_) => writeln!(out, "\nlatency in ms from the intended moment of sending")?,
            None => writeln!(
                out,
                "\nlatency in ms from sending; without --rate, waiting to send is not in it"
            )?,
        }
        writeln!(
            out,
            "{:<10}{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "answers", "p50", "p90", "p99", "p99.9", "max"
        )?;
        let rows = [
            ("a", &self.a.latencies),
            ("b", &self.b.latencies),
            ("a failed", &self.a.failures),
            ("b failed", &self.b.failures),
            ("sent late", &self.lateness),
        ];
        let is_shown =
            |(name, latencies): &(&str, &Latencies)| latencies.count() > 0 || !name.ends_with("failed");
        for (name, latencies) in rows.into_iter().filter(is_shown) {
            let mut row = format!("{name:<10}{:>9}", latencies.count());
            for value in [
                latencies.quantile(0.5),
                latencies.quantile(0.9),
                latencies.quantile(0.99),
                latencies.quantile(0.999),
                latencies.max(),
            ] {
                write!(row, "{:>10.3}", value.as_secs_f64() * 1_000.0)?;
            }
            writeln!(out, "{row}")?;
        }
        Ok(())
    }

    fn findings_text(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.differs() {
            return writeln!(out, "\nno differences");
        }
        writeln!(out, "\ndifferences by flag")?;
        for (subject, finding) in self.findings.iter().take(PRINTED_MAX) {
            let fields: Vec<String> = finding
                .fields
                .iter()
                .map(|(field, count)| format!("{} {count}", field.name()))
                .collect();
            writeln!(
                out,
                "  {}: {}",
                printable(&subject.to_string()),
                fields.join(", ")
            )?;
            let example = &finding.example;
            let name = example.difference.field.name();
            writeln!(out, "    {name}, a: {}", printable(&example.difference.a))?;
            writeln!(out, "    {name}, b: {}", printable(&example.difference.b))?;
            let request = &example.request;
            let body = body_text(&request.body, BODY_CHARS_MAX);
            writeln!(out, "    {} {} {body}", request.method, request.target)?;
        }
        let more = self.findings.iter().count().saturating_sub(PRINTED_MAX);
        if more > 0 {
            writeln!(out, "  and {more} more flags; --json has all of them")?;
        }
        Ok(())
    }
}
