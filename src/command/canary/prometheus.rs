//! Increases over the window, as a Prometheus server has them.

use bytes::Bytes;
use feature_flags::canary::Sample;
use feature_flags::canary::exposition::{BUCKETS_MAX, LATENCY, REQUESTS, number_of};
use feature_flags::canary::reading::{Bound, Reading};
use serde::Deserialize;

use super::fetch::Fetcher;
use crate::cli::Canary;
use crate::command::Failure;

/// What is used of an answer of `/api/v1/query`.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: Labels,
    value: (f64, String),
}

#[derive(Deserialize)]
struct Labels {
    le: Option<String>,
    status: Option<String>,
}

/// Asks for stable and canary.
pub async fn samples(
    arguments: &Canary,
    server: &str,
    [stable, canary]: [&str; 2],
) -> Result<[Sample; 2], Failure> {
    let fetcher =
        Fetcher::new(arguments.time_limit).map_err(|error| Failure::context("certificates", error))?;
    let seconds = arguments.window.as_secs();
    // The same moment for every question, so that both versions are judged by the same window.
    let now = clock(&fetcher, server).await?;
    let mut samples = Vec::with_capacity(2);
    for selector in [stable, canary] {
        let fail = |error: &dyn std::fmt::Display| Failure::context(format!("{server}: {selector}"), error);
        let mut reading = Reading::default();
        let latency = format!("sum by (le) (increase({LATENCY}_bucket{{{selector}}}[{seconds}s]))");
        let requests = format!(
            "sum by (status) (increase({REQUESTS}{{path=~\"/(flags|decide)/?\",{selector}}}[{seconds}s]))"
        );
        let buckets = ask(&fetcher, server, now, &latency).await?;
        if buckets.len() > BUCKETS_MAX {
            return Err(fail(&"too many buckets"));
        }
        let mut below = 0;
        for series in &buckets {
            let bound = series
                .metric
                .le
                .as_deref()
                .and_then(number_of)
                .filter(|bound| *bound > 0.0);
            let bound = bound.ok_or_else(|| fail(&"a bucket without a number as le"))?;
            reading.buckets.insert(
                Bound(bound),
                increase(series).ok_or_else(|| fail(&"not a count"))?,
            );
        }
        // Increases are extrapolated and rounded one by one, which may leave a bucket a little below the one before.
        for count in reading.buckets.values_mut() {
            below = below.max(*count);
            *count = below;
        }
        for series in ask(&fetcher, server, now, &requests).await? {
            let status = series
                .metric
                .status
                .as_deref()
                .and_then(|status| status.parse().ok());
            let status = status.ok_or_else(|| fail(&"requests without a status"))?;
            reading
                .statuses
                .insert(status, increase(&series).ok_or_else(|| fail(&"not a count"))?);
        }
        samples.push(reading.sample().map_err(|error| fail(&error))?);
    }
    <[Sample; 2]>::try_from(samples).map_err(|_| Failure::new("two selectors give two samples"))
}

fn increase(series: &Series) -> Option<u64> {
    let value = number_of(&series.value.1)?.round();
    (0.0..=9_007_199_254_740_992.0)
        .contains(&value)
        .then_some(value as u64)
}

/// The server's clock, seconds since 1970.
async fn clock(fetcher: &Fetcher, server: &str) -> Result<f64, Failure> {
    let text = get(fetcher, server, "time()", None).await?;
    let answer: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| Failure::context(server, error))?;
    let now = answer
        .pointer("/data/result/0")
        .and_then(serde_json::Value::as_f64);
    now.ok_or_else(|| Failure::new(format!("{server}: not a Prometheus server's answer")))
}

/// The series of an instant query.
async fn ask(fetcher: &Fetcher, server: &str, now: f64, query: &str) -> Result<Vec<Series>, Failure> {
    let text = get(fetcher, server, query, Some(now)).await?;
    let answer: Answer = serde_json::from_slice(&text).map_err(|error| Failure::context(server, error))?;
    Ok(answer.data.result)
}

async fn get(fetcher: &Fetcher, server: &str, query: &str, time: Option<f64>) -> Result<Bytes, Failure> {
    let mut url = format!("{}/api/v1/query?query=", server.trim_end_matches('/'));
    for byte in query.bytes() {
        if byte.is_ascii_alphanumeric() {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    if let Some(time) = time {
        url.push_str(&format!("&time={time}"));
    }
    fetcher
        .get(&url)
        .await
        .map_err(|error| Failure::context(server, error))
}
