//! Billing's background tasks, with what they say on standard error.

use std::sync::Arc;

use feature_flags::config::Config;
use feature_flags::http::AppState;
use feature_flags::quota::{LimitSource, Notice, Say, Tasks, TasksSettings, UsageSink};
use feature_flags::telemetry::log;

/// Starts them over a store.
pub fn start(
    config: &Config,
    app: &AppState,
    limits: Arc<dyn LimitSource>,
    usage: Arc<dyn UsageSink>,
) -> Tasks {
    let settings = TasksSettings {
        refresh_interval: config.quota.cache_ttl,
        recordings: config.quota.session_replay_check,
        flush_interval: config.quota.flush_interval,
        flush_batch: config.quota.flush_batch,
        counts: !config.continuity.skip_writes,
        last_flush_timeout: config.quota.shutdown_flush_timeout,
    };
    let say: Say = Arc::new(|notice: &Notice| {
        if notice.is_warning() {
            log::warn(format_args!("{notice}"));
        } else {
            log::info(format_args!("{notice}"));
        }
    });
    Tasks::start(&app.quota, limits, usage, settings, &say)
}
