//! From settings to what is logged.

use std::io::IsTerminal;
use std::time::Duration;

use feature_flags::config::{Config, LogLevel};
use feature_flags::http::user_agent::library_of;
use feature_flags::telemetry::log::{self, Level, LogSettings};

use super::start;

/// How long the end of a command waits for its last lines to be read.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Starts the log, and says in it what is odd about the settings. `for_people`: whoever runs this looks at it, if standard error is a terminal.
pub fn install(config: &Config, for_people: bool) {
    let telemetry = &config.telemetry;
    let level = match telemetry.log_level {
        LogLevel::Off => None,
        _ if telemetry.debug => Some(Level::Debug),
        LogLevel::Error => Some(Level::Error),
        LogLevel::Warn => Some(Level::Warn),
        LogLevel::Info => Some(Level::Info),
        LogLevel::Debug => Some(Level::Debug),
    };
    log::install(LogSettings {
        level,
        pretty: telemetry.debug || (for_people && std::io::stderr().is_terminal()),
        sample_rate: telemetry.log_sample_rate,
        queue_max: telemetry.log_queue_max,
        read_agent: library_of,
    });
    for warning in start::warnings(config) {
        log::warn(warning);
    }
}

/// Waits for the last lines.
pub fn flush() {
    log::flush(FLUSH_LIMIT);
}
