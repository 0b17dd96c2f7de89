//! A judgement as a table for people.

use std::fmt::Write as _;

use super::verdict::{Judgement, Rule};

/// Several lines, the last one the verdict.
#[must_use]
pub fn render(judgement: &Judgement, rule: &Rule) -> String {
    let mut out = String::new();
    let [stable, canary] = judgement.requests;
    // Writing to memory does not fail.
    let _ = writeln!(
        out,
        "requests: stable {stable}, canary {canary}; seed {}",
        rule.seed
    );
    let _ = writeln!(
        out,
        "{:<7}{:>12}{:>12}{:>8}   {:<18}{:>7}  VERDICT",
        "",
        "STABLE",
        "CANARY",
        "RATIO",
        format!("{}% INTERVAL", rule.confidence * 100.0),
        "LIMIT"
    );
    for row in &judgement.quantiles {
        let interval = row.interval.map_or("-".into(), |interval| {
            format!("{:.3} .. {:.3}", interval.low, interval.high)
        });
        let ratio = row.ratio.map_or("-".into(), |ratio| format!("{ratio:.3}"));
        let verdict = match row.verdict {
            Some(verdict) => verdict.name().to_owned(),
            None => format!("not judged up to {} requests", rule.requests_above_p999),
        };
        let _ = writeln!(
            out,
            "{:<7}{:>12}{:>12}{ratio:>8}   {interval:<18}{:>7.3}  {verdict}",
            row.name,
            duration(row.stable),
            duration(row.canary),
            row.limit
        );
    }
    let _ = writeln!(
        out,
        "{:<7}{:>12}{:>12}{:>8}   {:<18}{:>7}",
        "", "STABLE", "CANARY", "MORE", "CHANCE", "MARGIN"
    );
    for row in &judgement.shares {
        let percent = |share: f64| format!("{:.3}%", share * 100.0);
        let more = format!("{:+.3}%", (row.canary.value() - row.stable.value()) * 100.0);
        let _ = writeln!(
            out,
            "{:<7}{:>12}{:>12}{more:>8}   {:<18}{:>7}  {}",
            row.name,
            percent(row.stable.value()),
            percent(row.canary.value()),
            format!("p = {:.2e}", row.p_value),
            percent(rule.error_margin),
            row.verdict.name()
        );
    }
    let _ = writeln!(out, "verdict: {}", judgement.verdict.name());
    out
}

/// In the unit that suits it.
#[must_use]
pub fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 1e-3 => format!("{:.1} us", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.2} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2} s"),
    }
}
