//! `import`: a project document into a SQLite file, or into PostgreSQL and from there into the caches.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use feature_flags::config::Config;
use feature_flags::definition::document::DOCUMENT_BYTES_MAX;
use feature_flags::server::runtime;
use feature_flags::store::connected::Connected;
use feature_flags::store::embedded::run_import;
use feature_flags::store::import::{ImportError, ImportReport};
use feature_flags::store::postgres::import::{ImportTarget, import};

use super::{Failure, connected, start, warm};
use crate::cli::{Document, Import};

/// Loads the document and says what it held, or every problem that it has.
///
/// # Errors
/// When nothing was imported, or when it was and the caches could not be brought up to date.
pub fn run(arguments: &Import) -> Result<ExitCode, Failure> {
    let source = match &arguments.document {
        Document::File(path) => path.to_string_lossy(),
        Document::StandardInput => "-".into(),
    };
    let Some(store) = &arguments.store else {
        return into_postgres(&source);
    };
    Ok(ExitCode::from(
        u8::try_from(run_import(&source, store)).unwrap_or(1),
    ))
}

/// The bytes of a project document.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::context(format_args!("cannot read {}", path.display()), error))
}

fn into_postgres(source: &str) -> Result<ExitCode, Failure> {
    let bytes = read(source).map_err(|error| Failure::context(source, error))?;
    let config = start::config()?;
    let runtime = runtime::build(config.server.worker_threads)
        .map_err(|error| Failure::context("cannot start threads", error))?;
    let done = runtime.block_on(async {
        let report = write_rows(&config, source, &bytes).await?;
        let connected = connected::open(&config)?;
        refresh(&connected, &report).await?;
        Ok(report)
    });
    runtime.shutdown_background();
    let report = done?;
    let count = |of: fn(&feature_flags::store::import::ProjectReport) -> usize| {
        report.projects.iter().map(of).sum::<usize>()
    };
    println!(
        "imported {source} into PostgreSQL: {} projects ({} changed), {} flags, {} cohorts, {} persons, {} warnings",
        report.projects.len(),
        count(|project| usize::from(project.definitions_changed)),
        count(|project| project.flags),
        count(|project| project.cohorts),
        count(|project| project.persons),
        report.warnings.len(),
    );
    Ok(ExitCode::SUCCESS)
}

async fn write_rows(config: &Config, source: &str, bytes: &[u8]) -> Result<ImportReport, Failure> {
    let database = &config.database;
    let persons = database
        .persons_write_url
        .as_ref()
        .or(database.persons_read_url.as_ref());
    let target = ImportTarget {
        main_url: database.write_url.expose().to_owned(),
        persons_url: persons.map(|url| url.expose().to_owned()),
    };
    let report = import(target, bytes).await.map_err(|error| match error {
        ImportError::Problems { problems, warnings } => {
            warnings.iter().for_each(|warning| eprintln!("{warning}"));
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            Failure::new(format!(
                "{source}: {} problems, nothing was imported",
                problems.len()
            ))
        }
        ImportError::Store(error) => Failure::new(error.to_string()),
    })?;
    report.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    Ok(report)
}

/// Brings the caches up to date and says what was built.
async fn refresh(connected: &Connected, report: &ImportReport) -> Result<(), Failure> {
    let done = warm::with_progress(connected, async |progress| {
        connected.refresh(report, progress).await
    })
    .await;
    let done = done.map_err(|error| Failure::new(error.to_string()))?;
    if !done.unknown_quotas.is_empty() {
        eprintln!(
            "warning: quota of {} is kept nowhere",
            done.unknown_quotas.join(", ")
        );
    }
    eprintln!("{}", warm::line(&done.summary, false));
    match done.summary.failures.first() {
        None => Ok(()),
        Some(failure) => Err(Failure::new(format!(
            "the import is done, but {} entries could not be written, such as: {}; 'feature-flags warm' repeats that",
            done.summary.failed, failure.error
        ))),
    }
}

/// At most one byte more than is accepted: enough to know that it is too much.
fn read(source: &str) -> std::io::Result<Vec<u8>> {
    let limit = DOCUMENT_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    if source == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(source)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
