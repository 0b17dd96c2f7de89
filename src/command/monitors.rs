//! Tasks that watch the stores while the service runs, and say in the log when something changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use feature_flags::config::{Config, Setting};
use feature_flags::resilience::BreakerState;
use feature_flags::store::connected::Connected;
use feature_flags::store::redis::{Client, EndpointState};
use feature_flags::telemetry::log;
use metrics::gauge;
use tokio::time::{MissedTickBehavior, interval};

use super::check::{self, Finding, Level};

/// Between looks at the breakers; they stay open for half a second at least.
const BREAKER_INTERVAL: Duration = Duration::from_millis(400);

/// Says once what cannot be used at start. `true`: everything can.
pub async fn report(config: &Config, settings: &[Setting]) -> bool {
    let findings = check::stores(config, settings).await;
    findings.iter().for_each(say);
    findings.iter().all(|finding| finding.level < Level::Problem)
}

/// The same, without making anybody wait for it.
pub fn report_later(config: &Config, settings: Vec<Setting>) {
    let config = config.clone();
    tokio::spawn(async move { report(&config, &settings).await });
}

/// Prints what was found about a dependency.
fn say(finding: &Finding) {
    if finding.level < Level::Problem {
        log::warn(finding.line());
    } else {
        let Finding {
            subject, said, from, ..
        } = finding;
        let advice = finding.advice.as_deref().unwrap_or_default();
        log::warn(format_args!(
            "{subject} cannot be used, it will be retried: {said} ({from}); {advice}"
        ));
    }
}

/// Starts all monitors; they end with the runtime.
pub fn start(config: &Config, connected: &Arc<Connected>) {
    connected.clients().iter().for_each(watch_client);
    watch_breakers(connected);
    watch_pools(config, connected);
    watch_caches(config, connected);
}

/// Says when a server's connection is lost and when it is back: once each, however often it is tried.
fn watch_client(client: &Arc<Client>) {
    for endpoint in client.endpoints() {
        let (name, mut state) = (endpoint.name(), endpoint.watch());
        tokio::spawn(async move {
            // `None` until the first attempt has ended; what fails then is named by the report at start.
            let mut away = match *state.borrow_and_update() {
                EndpointState::Connecting => None,
                EndpointState::Connected => Some(false),
                EndpointState::Failed(_) => Some(true),
            };
            while state.changed().await.is_ok() {
                let now = state.borrow_and_update().clone();
                match now {
                    EndpointState::Failed(error) => {
                        if away == Some(false) {
                            log::warn(format_args!("{name}: connection lost: {error}"));
                        }
                        away = Some(true);
                    }
                    EndpointState::Connected => {
                        if away == Some(true) {
                            log::info(format_args!("{name}: connected"));
                        }
                        away = Some(false);
                    }
                    EndpointState::Connecting => {}
                }
            }
        });
    }
}

/// Says when a pool or S3 has failed so often that it is not asked for a while, and when it answers again: once each.
fn watch_breakers(connected: &Arc<Connected>) {
    let connected = Arc::clone(connected);
    let mut ticks = interval(BREAKER_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::spawn(async move {
        let mut away = HashSet::new();
        let open: HashMap<_, _> = connected
            .breakers()
            .into_iter()
            .map(|(name, _)| (name, gauge!("feature_flags_breaker_open", "source" => name)))
            .collect();
        loop {
            ticks.tick().await;
            for (name, state) in connected.breakers() {
                if let Some(gauge) = open.get(name) {
                    gauge.set(if state == BreakerState::Closed { 0.0 } else { 1.0 });
                }
                match state {
                    BreakerState::Open if away.insert(name) => {
                        log::warn(format_args!(
                            "{name}: failed repeatedly, it is asked only now and then"
                        ));
                    }
                    BreakerState::Closed if away.remove(name) => {
                        log::info(format_args!("{name}: answers again"))
                    }
                    _ => {}
                }
            }
        }
    });
}

/// Keeps the gauges of the pools, and warns while one is nearly used up (`DB_POOL_WARN_UTILIZATION`).
fn watch_pools(config: &Config, connected: &Connected) {
    let pools = connected.pools().clone();
    let limit = config.database.warn_utilization;
    let mut ticks = interval(config.database.monitor_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::spawn(async move {
        loop {
            ticks.tick().await;
            for pool in pools.distinct() {
                pool.publish_gauges();
                let stats = pool.stats();
                if f64::from(stats.active) >= limit * f64::from(stats.max) {
                    let (name, active, max) = (pool.name(), stats.active, stats.max);
                    log::warn(format_args!(
                        "pool {name}: {active} of {max} connections in use, {} waiting",
                        stats.waiting
                    ));
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
            log::debug(format_args!(
                "cohort cache: {} teams, {} bytes, {} hits, {} misses; group types: {} teams, {} hits, {} misses",
                cohorts.entries,
                cohorts.weight,
                cohorts.hits,
                cohorts.misses,
                types.entries,
                types.hits,
                types.misses
            ));
        }
    });
}
