//! Tasks that watch the stores while the service runs, and say on standard error when something changes.

use std::sync::Arc;

use feature_flags::config::Config;
use feature_flags::store::connected::{Connected, SourceReport};
use feature_flags::store::redis::{Client, EndpointState};
use tokio::time::{MissedTickBehavior, interval};

use super::connected::REPORT_LIMIT;

/// Says once what cannot be reached at start, without making anybody wait for it.
pub fn report_later(connected: &Connected) {
    let asking = connected.ask(REPORT_LIMIT);
    tokio::spawn(async move { asking.await.iter().for_each(say) });
}

/// Prints a dependency that cannot be used.
pub fn say(report: &SourceReport) {
    if let Some(problem) = &report.problem {
        eprintln!(
            "warning: {} cannot be used, it will be retried: {problem}",
            report.source
        );
    }
}

/// Starts all monitors; they end with the runtime.
pub fn start(config: &Config, connected: &Connected) {
    connected.clients().iter().for_each(watch_client);
    watch_pools(config, connected);
    watch_caches(config, connected);
}

/// Says when a server's connection is lost and when it is back: once each, however often it is tried.
fn watch_client(client: &Arc<Client>) {
    for endpoint in client.endpoints() {
        let (name, mut state) = (endpoint.name(), endpoint.watch());
        tokio::spawn(async move {
            // The start has its own report.
            let mut away = matches!(
                *state.borrow_and_update(),
                EndpointState::Connecting | EndpointState::Failed(_)
            );
            while state.changed().await.is_ok() {
                let now = state.borrow_and_update().clone();
                match now {
                    EndpointState::Failed(error) if !away => {
                        away = true;
                        eprintln!("warning: {name}: connection lost: {error}");
                    }
                    EndpointState::Connected if away => {
                        away = false;
                        eprintln!("info: {name}: connected");
                    }
                    _ => {}
                }
            }
        });
    }
}

/// Warns while a pool is nearly used up (`DB_POOL_WARN_UTILIZATION`).
fn watch_pools(config: &Config, connected: &Connected) {
    let pools = connected.pools().clone();
    let limit = config.database.warn_utilization;
    let mut ticks = interval(config.database.monitor_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::spawn(async move {
        loop {
            ticks.tick().await;
            for pool in pools.distinct() {
                let stats = pool.stats();
                if f64::from(stats.active) >= limit * f64::from(stats.max) {
                    let (name, active, max) = (pool.name(), stats.active, stats.max);
                    eprintln!(
                        "warning: pool {name}: {active} of {max} connections in use, {} waiting",
                        stats.waiting
                    );
                }
            }
        }
    });
}

/// Reports the cohort and group type caches under `DEBUG`.
fn watch_caches(config: &Config, connected: &Connected) {
    if !config.telemetry.debug {
        return;
    }
    let source = connected.projects();
    let mut ticks = interval(config.snapshot.cohort_monitor_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::spawn(async move {
        loop {
            ticks.tick().await;
            let (cohorts, types) = (source.inputs().cohort_stats(), source.inputs().group_type_stats());
            eprintln!(
                "debug: cohort cache: {} teams, {} bytes, {} hits, {} misses; group types: {} teams, {} hits, {} misses",
                cohorts.entries,
                cohorts.weight,
                cohorts.hits,
                cohorts.misses,
                types.entries,
                types.hits,
                types.misses
            );
        }
    });
}
