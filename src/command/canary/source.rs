//! Processes' own metrics, and files.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use feature_flags::canary::reading::Reading;
use feature_flags::canary::{Sample, exposition, hdr};

use super::fetch::{BYTES_MAX, Fetcher};
use crate::cli::Canary;
use crate::command::Failure;

/// How often a waiting person hears how long it takes.
const PROGRESS: Duration = Duration::from_secs(10);

/// Reads every process at the start and at the end of the window.
pub async fn live(arguments: &Canary) -> Result<[Sample; 2], Failure> {
    let fetcher =
        Fetcher::new(arguments.time_limit).map_err(|error| Failure::context("certificates", error))?;
    let sides = [&arguments.stable, &arguments.canary];
    let before = [
        scrape(&fetcher, sides[0]).await?,
        scrape(&fetcher, sides[1]).await?,
    ];
    let end = Instant::now() + arguments.window;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        eprintln!("canary: {} seconds to go", left.as_secs_f64().round());
        tokio::time::sleep(left.min(PROGRESS)).await;
    }
    let after = [
        scrape(&fetcher, sides[0]).await?,
        scrape(&fetcher, sides[1]).await?,
    ];
    let [stable, canary] = before;
    let [stable_after, canary_after] = after;
    Ok([
        grown(&arguments.stable, &stable, &stable_after)?,
        grown(&arguments.canary, &canary, &canary_after)?,
    ])
}

async fn scrape(fetcher: &Fetcher, urls: &[String]) -> Result<Vec<Reading>, Failure> {
    let mut readings = Vec::with_capacity(urls.len());
    for url in urls {
        let text = fetcher
            .get(url)
            .await
            .map_err(|error| Failure::context(url, error))?;
        readings.push(exposition::parse(&text).map_err(|error| Failure::context(url, error))?);
    }
    Ok(readings)
}

fn grown(names: &[String], before: &[Reading], after: &[Reading]) -> Result<Sample, Failure> {
    let mut sum = Reading::default();
    let mut last = "";
    for ((name, before), after) in names.iter().zip(before).zip(after) {
        let grown = after
            .since(before)
            .map_err(|error| Failure::context(name, error))?;
        sum.add(&grown).map_err(|error| Failure::context(name, error))?;
        last = name;
    }
    sum.sample().map_err(|error| Failure::context(last, error))
}

/// One or two scraped texts, or one HdrHistogram log.
pub fn files(paths: &[String], hdr_unit_seconds: f64) -> Result<Sample, Failure> {
    let mut readings = Vec::new();
    for path in paths {
        let bytes = read(path)?;
        if hdr::is_log(&bytes) {
            if paths.len() > 1 {
                return Err(Failure::new(format!("{path}: an HdrHistogram log stands alone")));
            }
            return hdr::parse(&bytes, hdr_unit_seconds).map_err(|error| Failure::context(path, error));
        }
        readings.push(exposition::parse(&bytes).map_err(|error| Failure::context(path, error))?);
    }
    let name = paths.last().map_or("", String::as_str);
    let sample = match readings.as_slice() {
        [whole] => whole.sample(),
        [before, after] => after.since(before).and_then(|grown| grown.sample()),
        _ => {
            return Err(Failure::new(format!(
                "{name}: at most two files, of start and end"
            )));
        }
    };
    sample.map_err(|error| Failure::context(name, error))
}

fn read(path: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| Failure::context(path, error))?;
    if bytes.len() > BYTES_MAX {
        return Err(Failure::new(format!("{path}: above {} MiB", BYTES_MAX >> 20)));
    }
    Ok(bytes)
}
