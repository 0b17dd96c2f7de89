//! A judgement as JSON for programs. Durations are seconds.

use serde_json::{Value, json};

use super::verdict::{Judgement, Rule};

/// One object.
#[must_use]
pub fn render(judgement: &Judgement, rule: &Rule) -> Value {
    let [stable, canary] = judgement.requests;
    let quantiles: Vec<_> = judgement
        .quantiles
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "stable_seconds": row.stable,
                "canary_seconds": row.canary,
                "ratio": row.ratio,
                "interval": row.interval.map(|interval| [interval.low, interval.high]),
                "ratio_max": row.limit,
                "verdict": row.verdict.map_or("not judged", |verdict| verdict.name()),
            })
        })
        .collect();
    let errors: Vec<_> = judgement
        .shares
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "stable": { "errors": row.stable.errors, "requests": row.stable.total, "share": row.stable.value() },
                "canary": { "errors": row.canary.errors, "requests": row.canary.total, "share": row.canary.value() },
                "p_value": row.p_value,
                "margin": rule.error_margin,
                "verdict": row.verdict.name(),
            })
        })
        .collect();
    json!({
        "verdict": judgement.verdict.name(),
        "exit_code": judgement.verdict.exit_code(),
        "requests": { "stable": stable, "canary": canary },
        "quantiles": quantiles,
        "errors": errors,
        "confidence": rule.confidence,
        "rounds": rule.rounds,
        "seed": rule.seed,
        "significance": rule.significance,
        "requests_min": rule.requests_min,
        "requests_above_p999": rule.requests_above_p999,
    })
}
