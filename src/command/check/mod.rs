//! `check`: everything that a start depends on, in one table; and the same at the start of a server, problems alone.

mod collector;
mod finding;
mod stores;
mod system;

use std::process::ExitCode;

use feature_flags::config::{Config, ConfigError, Environment, Reading, Setting, stray_variables};
use feature_flags::server::runtime;

use super::Failure;
use super::connected::REPORT_LIMIT;
pub use finding::{Finding, Level};
use finding::{from, table};

/// Checks and prints the table. Exit code 0: usable, perhaps with warnings; 1: not.
///
/// # Errors
/// When the system refuses threads.
pub fn run() -> Result<ExitCode, Failure> {
    let Reading { settings, config } = Config::read_all(&Environment);
    let mut findings = vec![configuration(&config, &settings)];
    match &config {
        Err(error) => findings.extend(unusable(error, &settings)),
        Ok(config) => findings.extend(config.warnings().into_iter().map(as_written)),
    }
    findings.extend(stray_variables(&Environment).into_iter().map(as_written));
    if let Ok(config) = &config {
        findings.push(system::address(config, &settings));
        findings.extend(system::limits(config, &settings));
        findings.extend(system::locations(config, &settings));
        let runtime = runtime::build(1).map_err(|error| Failure::context("cannot start threads", error))?;
        findings.extend(runtime.block_on(stores::findings(config, &settings, REPORT_LIMIT)));
        findings.extend(runtime.block_on(collector::finding(config, &settings, REPORT_LIMIT)));
        runtime.shutdown_background();
    }
    print!("{}", table(&findings));
    let usable = findings.iter().all(|finding| finding.level < Level::Problem);
    Ok(if usable {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a server should be told about the machine when it starts.
pub fn machine(config: &Config, settings: &[Setting]) -> Vec<Finding> {
    let mut findings = system::limits(config, settings);
    findings.retain(|finding| finding.level > Level::Good);
    findings
}

/// What is wrong with the stores and the collector.
pub async fn stores(config: &Config, settings: &[Setting]) -> Vec<Finding> {
    let (mut findings, collector) = tokio::join!(
        stores::findings(config, settings, REPORT_LIMIT),
        collector::finding(config, settings, REPORT_LIMIT)
    );
    findings.extend(collector);
    findings.retain(|finding| finding.level > Level::Good);
    findings
}

fn configuration(config: &Result<Config, ConfigError>, settings: &[Setting]) -> Finding {
    let from_variables = "variables".to_owned();
    match config {
        Ok(_) => Finding::good(
            "configuration",
            from_variables,
            format!("{} settings", settings.len()),
        ),
        Err(error) => Finding::bad(
            Level::Problem,
            "configuration",
            from_variables,
            format!(
                "{} of {} settings cannot be used",
                error.invalid.len(),
                settings.len()
            ),
            "correct those below; nothing else is checked until then",
        ),
    }
}

fn unusable(error: &ConfigError, settings: &[Setting]) -> Vec<Finding> {
    let rows = error.invalid.iter().map(|invalid| {
        let setting = settings.iter().find(|setting| {
            setting.variable.name == invalid.name || setting.variable.file == Some(invalid.name)
        });
        let name = setting.map_or(invalid.name, |setting| setting.variable.name);
        Finding::bad(
            Level::Problem,
            name,
            from(settings, name),
            format!("{:?} cannot be used", invalid.value),
            format!("give {}", invalid.expected),
        )
    });
    rows.collect()
}

/// A warning that says for itself what to do.
fn as_written(warning: String) -> Finding {
    Finding {
        subject: "variables".to_owned(),
        from: "variables".to_owned(),
        level: Level::Warning,
        said: warning,
        advice: None,
    }
}
