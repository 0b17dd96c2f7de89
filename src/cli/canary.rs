//! Arguments of `canary`.

use std::path::PathBuf;
use std::time::Duration;

use feature_flags::canary::verdict::Rule;
use lexopt::prelude::*;

use super::Command;

/// See [`HELP`].
#[derive(Debug, PartialEq)]
pub struct Canary {
    /// URLs, files or, with a Prometheus server, one label selector.
    pub stable: Vec<String>,
    /// As `stable`.
    pub canary: Vec<String>,
    /// A Prometheus server's URL.
    pub prometheus: Option<String>,
    /// Between the two scrapes of URLs; of the increases of a Prometheus server.
    pub window: Duration,
    /// For one answer of a URL.
    pub time_limit: Duration,
    /// Seconds of one unit of HdrHistogram logs.
    pub hdr_unit_seconds: f64,
    /// Where the plot goes.
    pub svg: Option<PathBuf>,
    /// For programs instead of people.
    pub json: bool,
    /// What is allowed.
    pub rule: Rule,
}

/// Most sources of one version.
const SOURCES_MAX: usize = 64;

/// Longest window.
const WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Most bootstrap samples.
const ROUNDS_MAX: usize = 1_000_000;

pub const HELP: &str = "\
Judge a new version (canary) against the running one (stable), and say with the exit status whether it may go on.

Usage: feature-flags canary --stable SOURCE --canary SOURCE [OPTIONS]

Sources, of the same kind for both:
  URL            A process's own metrics, http://HOST:PORT/metrics; read twice, and what happened in between is judged.
                 May be given several times, for several processes of one version. A balancer will not do
  FILE           A scraped /metrics: all since its process began; given twice: what happened between the first and the second
  FILE           An HdrHistogram log (V2). Intervals with the tag 'error' are requests that failed
  SELECTOR       With --prometheus: labels of one version, such as 'pod=~\"flags-7d9f-.*\"'

Options:
  --stable SOURCE             The running version
  --canary SOURCE             The new version
  --prometheus URL            Ask this Prometheus server; sources are selectors
  --window-secs N             Between the two readings of URLs, or back from now          [default: 60]
  --timeout-ms N              For each answer of a URL or of Prometheus                   [default: 10000]
  --hdr-unit ns|us|ms         What values of HdrHistogram logs count in                   [default: ns]
  --svg FILE                  Write a plot of both distributions
  --json                      One JSON document instead of the table

Limits:
  --max-p50 RATIO             Canary's median divided by stable's, at most                [default: 1.10]
  --max-p95 RATIO                                                                         [default: 1.10]
  --max-p99 RATIO                                                                         [default: 1.15]
  --max-p999 RATIO                                                                        [default: 1.25]
  --error-margin SHARE        By how much canary's share of errors may be higher          [default: 0.001]
  --significance P            p-value below which a difference between shares counts      [default: 0.01]
  --min-requests N            Of each version, before anything is judged                  [default: 10000]
  --min-requests-p999 N       p99.9 is judged only above so many                          [default: 100000]
  --confidence SHARE          Share of bootstrap samples within an interval               [default: 0.95]
  --rounds N                  Bootstrap samples                                           [default: 2000]
  --seed N                    Of the bootstrap: the same seed, the same intervals         [default: 7]
  -h, --help                  This text

A quantile fails when the whole interval of its ratio is above its limit, and passes when the ratio is not above it; in between more
data must decide. Errors are answers with 5xx and, apart, 4xx; a share fails when it is higher by more than the margin and a
two-proportion test says that this is no chance.

Exit status: 0 pass, 1 fail, 2 not enough data, 3 a source cannot be read, or wrong usage.
";

pub fn parse(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut canary = Canary {
        stable: Vec::new(),
        canary: Vec::new(),
        prometheus: None,
        window: Duration::from_secs(60),
        time_limit: Duration::from_secs(10),
        hdr_unit_seconds: 1e-9,
        svg: None,
        json: false,
        rule: Rule::default(),
    };
    let rule = &mut canary.rule;
    let [p50, p95, p99, p999] = &mut rule.ratios_max;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("stable") => canary.stable.push(parser.value()?.parse()?),
            Long("canary") => canary.canary.push(parser.value()?.parse()?),
            Long("prometheus") => canary.prometheus = Some(parser.value()?.parse()?),
            Long("window-secs") => canary.window = Duration::from_secs(parser.value()?.parse()?),
            Long("timeout-ms") => canary.time_limit = Duration::from_millis(parser.value()?.parse()?),
            Long("hdr-unit") => {
                canary.hdr_unit_seconds = match parser.value()?.to_str() {
                    Some("ns") => 1e-9,
                    Some("us") => 1e-6,
                    Some("ms") => 1e-3,
                    _ => return Err("--hdr-unit is ns, us or ms".into()),
                };
            }
            Long("svg") => canary.svg = Some(parser.value()?.into()),
            Long("json") => canary.json = true,
            Long("max-p50") => *p50 = number(&mut parser, "--max-p50", 0.0, 1e6)?,
            Long("max-p95") => *p95 = number(&mut parser, "--max-p95", 0.0, 1e6)?,
            Long("max-p99") => *p99 = number(&mut parser, "--max-p99", 0.0, 1e6)?,
            Long("max-p999") => *p999 = number(&mut parser, "--max-p999", 0.0, 1e6)?,
            Long("error-margin") => rule.error_margin = number(&mut parser, "--error-margin", 0.0, 1.0)?,
            Long("significance") => rule.significance = number(&mut parser, "--significance", 0.0, 1.0)?,
            Long("confidence") => rule.confidence = number(&mut parser, "--confidence", 0.5, 0.9999)?,
            Long("min-requests") => rule.requests_min = parser.value()?.parse()?,
            Long("min-requests-p999") => rule.requests_above_p999 = parser.value()?.parse()?,
            Long("rounds") => rule.rounds = parser.value()?.parse()?,
            Long("seed") => rule.seed = parser.value()?.parse()?,
            Short('h') | Long("help") => return Ok(Command::Help(HELP)),
            other => return Err(other.unexpected()),
        }
    }
    if !(100..=ROUNDS_MAX).contains(&rule.rounds) {
        return Err("--rounds is 100 to 1000000".into());
    }
    if canary.stable.is_empty() || canary.canary.is_empty() {
        return Err("canary needs --stable SOURCE and --canary SOURCE".into());
    }
    if canary.stable.len().max(canary.canary.len()) > SOURCES_MAX {
        return Err("at most 64 sources of a version".into());
    }
    if canary.window.is_zero() || canary.window > WINDOW_MAX {
        return Err("--window-secs is 1 to 86400".into());
    }
    if canary.time_limit.is_zero() {
        return Err("--timeout-ms must be at least 1".into());
    }
    Ok(Command::Canary(Box::new(canary)))
}

fn number(parser: &mut lexopt::Parser, name: &str, from: f64, to: f64) -> Result<f64, lexopt::Error> {
    let value: f64 = parser.value()?.parse()?;
    if (from..=to).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{name} is {from} to {to}").into())
    }
}
