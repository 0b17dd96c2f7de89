//! `import`: a project document into a SQLite file.

use std::path::Path;
use std::process::ExitCode;

use feature_flags::store::embedded::run_import;

use super::Failure;
use crate::cli::{Document, Import};

/// Loads the document and says what it held, or every problem that it has.
pub fn run(arguments: &Import) -> ExitCode {
    let source = match &arguments.document {
        Document::File(path) => path.to_string_lossy(),
        Document::StandardInput => "-".into(),
    };
    ExitCode::from(u8::try_from(run_import(&source, &arguments.store)).unwrap_or(1))
}

/// The bytes of a project document.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::context(format_args!("cannot read {}", path.display()), error))
}
