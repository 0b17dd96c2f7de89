//! What is said in the end: for people, and as JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::findings::{Finding, Findings};
use super::latency::Latencies;

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
    /// From the moment at which a request was to be sent to the end of its answer.
    pub latencies: Latencies,
    /// Requests without an answer, by why.
    pub errors: BTreeMap<&'static str, u64>,
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
    /// Of these, with some difference.
    pub different: u64,
    /// Sent by nobody, because a server could not keep up with the rate.
    pub overrun: u64,
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
            "different": self.different,
            "same": !self.differs(),
            "overrun": self.overrun,
            "skipped": {
                "malformed": self.skipped.malformed,
                "unsendable": self.skipped.unsendable,
                "unnamed_tokens": self.skipped.unnamed_tokens,
            },
            "rate": self.rate,
            "corrected_for_coordinated_omission": self.rate.is_some(),
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
    json!({ "url": side.url, "errors": side.errors, "latency_seconds": latencies_json(&side.latencies) })
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
        if self.overrun > 0 {
            writeln!(
                out,
                "{} requests were not sent: a server does not keep up with the rate",
                self.overrun
            )?;
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
            ("sent late", &self.lateness),
        ];
        for (name, latencies) in rows {
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
            writeln!(out, "  {subject}: {}", fields.join(", "))?;
            let example = &finding.example;
            let name = example.difference.field.name();
            writeln!(out, "    {name}, a: {}", example.difference.a)?;
            writeln!(out, "    {name}, b: {}", example.difference.b)?;
            let request = &example.request;
            let body = String::from_utf8_lossy(&request.body);
            let shown: String = body.chars().take(BODY_CHARS_MAX).collect();
            writeln!(out, "    {} {} {shown}", request.method, request.target)?;
        }
        let more = self.findings.iter().count().saturating_sub(PRINTED_MAX);
        if more > 0 {
            writeln!(out, "  and {more} more flags; --json has all of them")?;
        }
        Ok(())
    }
}
