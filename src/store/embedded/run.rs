//! The `import` command without its argument parsing.

use std::io::{self, Read, Write};
use std::path::Path;

use super::EmbeddedStore;
use super::import::ImportError;
use crate::definition::document::DOCUMENT_BYTES_MAX;
use crate::store::import::{ImportReport, ProjectReport};

/// Imports a file, or standard input for `-`, into the store at `store_path`, and returns the exit
/// code: 0, or 1 when nothing was changed. Problems and warnings go to standard error one a line, a
/// summary to standard output.
pub fn run_import(source: &str, store_path: &Path) -> i32 {
    let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
    let done = import_source(source, store_path);
    let (printed, code) = match &done {
        Ok(report) => (
            print_report(report, source, store_path, &mut stdout, &mut stderr),
            0,
        ),
        Err(reason) => (writeln!(stderr, "{reason}"), 1),
    };
    // Nobody reads what we print any more; what was done stays done.
    printed.map_or(code, |()| code)
}

fn import_source(source: &str, store_path: &Path) -> Result<ImportReport, String> {
    let bytes = read_source(source).map_err(|error| format!("{source}: {error}"))?;
    let store = EmbeddedStore::open(store_path).map_err(|error| error.to_string())?;
    store.import(&bytes).map_err(|error| match error {
        ImportError::Problems { problems, warnings } => {
            let lines = warnings.iter().map(ToString::to_string);
            let lines = lines.chain(problems.iter().map(ToString::to_string));
            let summary = format!("{source}: {} problems, nothing was imported", problems.len());
            lines.chain([summary]).collect::<Vec<_>>().join("\n")
        }
        ImportError::Store(_) => error.to_string(),
    })
}

/// Reads at most one byte more than is accepted: enough to know that it is too much.
fn read_source(source: &str) -> io::Result<Vec<u8>> {
    let limit = DOCUMENT_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    if source == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(source)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn print_report(
    report: &ImportReport,
    source: &str,
    store_path: &Path,
    stdout: &mut impl Write,
    stderr: &mut impl Write,
) -> io::Result<()> {
    for warning in &report.warnings {
        writeln!(stderr, "{warning}")?;
    }
    let count = |of: fn(&ProjectReport) -> usize| report.projects.iter().map(of).sum::<usize>();
    writeln!(
        stdout,
        "imported {source} into {}: {} projects ({} changed), {} flags, {} cohorts, {} persons, {} warnings",
        store_path.display(),
        report.projects.len(),
        count(|project| usize::from(project.definitions_changed)),
        count(|project| project.flags),
        count(|project| project.cohorts),
        count(|project| project.persons),
        report.warnings.len(),
    )
}
