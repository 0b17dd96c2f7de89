//! Judges a new version (canary) against the running one (stable) by what was measured of both: quantiles of latency with bootstrap
//! intervals, and shares of errors by a two-proportion test.
//!
//! Computes only: where measurements come from (processes, files, a Prometheus server) is the command's. Start in `verdict.rs`;
//! `histogram.rs` is what latencies are kept as, `bootstrap.rs` and `proportion.rs` are the statistics, `exposition.rs`, `reading.rs` and
//! `hdr.rs` turn texts into measurements, `table.rs`, `json.rs` and `plot.rs` turn a judgement into text.

pub mod bootstrap;
pub mod exposition;
pub mod hdr;
pub mod histogram;
pub mod json;
pub mod plot;
pub mod proportion;
pub mod reading;
pub mod table;
pub mod verdict;

use self::histogram::Histogram;

/// Requests by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// All of them.
    pub total: u64,
    /// With a 4xx status.
    pub client_errors: u64,
    /// With a 5xx status.
    pub server_errors: u64,
}

/// What was measured of one version.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Seconds of requests.
    pub latency: Histogram,
    /// How requests ended.
    pub answers: Answers,
}
