//! A line a second.

use std::time::{Duration, Instant};

use feature_flags::replay::SideReport;

use super::Drive;

/// Between lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Prints until it is aborted.
pub(super) async fn show(drive: Drive, began: Instant) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + INTERVAL, INTERVAL);
    loop {
        ticks.tick().await;
        let line = {
            let report = drive.report();
            let p99 = |side: &SideReport| side.latencies.quantile(0.99).as_secs_f64() * 1_000.0;
            let errors = |side: &SideReport| side.errors.values().sum::<u64>();
            format!(
                "{:>5} s: {} requests, {} compared, {} different; p99 a {:.2} ms, b {:.2} ms; errors a {}, b {}",
                began.elapsed().as_secs(),
                report.requests,
                report.compared,
                report.different,
                p99(&report.a),
                p99(&report.b),
                errors(&report.a),
                errors(&report.b),
            )
        };
        eprintln!("{line}");
    }
}
