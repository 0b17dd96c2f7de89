//! How every command begins: settings from the environment, and what an operator should know about them.

use feature_flags::config::{Config, Environment, Reading, Setting, stray_variables};

use super::Failure;

/// Reads the settings and prints warnings about variables.
///
/// # Errors
/// When some cannot be used; names all of them.
pub fn config() -> Result<Config, Failure> {
    settings().map(|(config, _)| config)
}

/// The same, with where each value came from.
///
/// # Errors
/// As [`config`].
pub fn settings() -> Result<(Config, Vec<Setting>), Failure> {
    let Reading { settings, config } = Config::read_all(&Environment);
    for warning in stray_variables(&Environment) {
        eprintln!("warning: {warning}");
    }
    let config = config.map_err(|error| Failure::new(error.to_string()))?;
    for warning in config.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok((config, settings))
}
