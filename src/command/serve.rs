//! `serve`: the service of a running PostHog, on its Redis, S3 and PostgreSQL.

use std::process::ExitCode;
use std::sync::Arc;

use feature_flags::config::{Config, Setting};
use feature_flags::processors::Threads;
use feature_flags::server::{Server, runtime};
use feature_flags::telemetry::{self, metrics};

use super::{Failure, check, connected, geoip, log, monitors, quota, service, start, traces};

/// Serves until told to stop.
///
/// # Errors
/// When a setting cannot be used, the address cannot be listened on, or, with `EXIT_WHEN_DEPENDENCY_UNAVAILABLE`, a
/// dependency is away.
pub fn run() -> Result<ExitCode, Failure> {
    let (config, settings) = start::read()?;
    if config.telemetry.enable_metrics {
        // Before anything that keeps handles is built.
        metrics::install();
    }
    log::install(&config, false);
    let runtime = runtime::build(Threads::of(&config).runtime)
        .map_err(|error| Failure::context("cannot start threads", error))?;
    let result = runtime.block_on(serve(&config, settings));
    // Nothing that still runs is owed an end: requests have been drained, or a second signal came.
    runtime.shutdown_background();
    result
}

async fn serve(config: &Config, settings: Vec<Setting>) -> Result<ExitCode, Failure> {
    let geo = geoip::open(config)?;
    let server = Server::bind(&config.server).await.map_err(|error| {
        let address = config.server.address;
        Failure::context(format_args!("cannot listen on {address}"), error)
    })?;
    let address = server
        .local_addr()
        .map_err(|error| Failure::context("cannot read the address", error))?;
    let signals = service::signals()?;
    let traces = traces::start(config)?;
    let connected = Arc::new(connected::open(config)?);
    println!("feature-flags listening on http://{address}");
    println!("entries: {}", connected.sources());
    for finding in check::machine(config, &settings) {
        telemetry::log::warn(finding.line());
    }
    if config.server.exit_when_dependency_unavailable {
        if !monitors::report(config, &settings).await {
            return Err(Failure::new("a dependency is away"));
        }
    } else {
        // Requests that need nothing of what is away are answered meanwhile.
        monitors::report_later(config, settings);
    }
    let app = connected::app_state(config, &connected, geo);
    let quota = quota::start(config, &app, connected.quota_limits(), connected.usage());
    monitors::start(config, &connected);
    Ok(service::serve(server, app, quota, traces, signals).await)
}
