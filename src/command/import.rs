//! `import`: a project document into a SQLite file.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use super::Failure;
use super::embedded::Embedded;
use crate::cli::{Document, Import};

/// Loads the document and says what it held.
pub fn run(arguments: &Import) -> Result<ExitCode, Failure> {
    let document = match &arguments.document {
        Document::File(path) => read_file(path)?,
        Document::StandardInput => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::context("cannot read standard input", error))?;
            bytes
        }
    };
    let runtime = feature_flags::server::runtime::build(1)
        .map_err(|error| Failure::context("cannot start threads", error))?;
    let store = Embedded::open(Some(&arguments.store))?;
    for line in runtime.block_on(store.import(&document))? {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes of a project document.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::context(format_args!("cannot read {}", path.display()), error))
}
