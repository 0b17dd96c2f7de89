//! How every command begins: settings from the environment, and what an operator should know about them.

use feature_flags::config::{Config, Environment, Reading, Setting, stray_variables};

use super::Failure;

/// Reads the settings, with where each value came from. Says nothing unless it fails: then strays are part of the reason.
///
/// # Errors
/// When some cannot be used; names all of them.
pub fn read() -> Result<(Config, Vec<Setting>), Failure> {
    let Reading { settings, config } = Config::read_all(&Environment);
    let config = config.map_err(|error| {
        for stray in stray_variables(&Environment) {
            eprintln!("warning: {stray}");
        }
        Failure::new(error.to_string())
    })?;
    Ok((config, settings))
}

/// Variables that do nothing, and settings that do not do what they seem to.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = stray_variables(&Environment);
    warnings.extend(config.warnings());
    warnings
}

/// Reads the settings and prints the warnings.
///
/// # Errors
/// As [`read`].
pub fn config() -> Result<Config, Failure> {
    let (config, _) = read()?;
    for warning in warnings(&config) {
        eprintln!("warning: {warning}");
    }
    Ok(config)
}
