//! The project document: everything of one project as one JSON object.
//!
//! Parsing reports every problem of the whole input with its JSON path, and keeps what must not be
//! re-encoded (`filters`, properties, the remote-config document) as the text that came. What a
//! store already holds is not known here; clashes with it are the importer's to find.

mod cohort;
mod filters;
mod flag;
mod key;
mod notes;
mod object;
mod parse;
mod path;
mod person;
mod property;
mod references;
mod team;
mod types;
mod unique;

pub use notes::{ImportProblem, ImportWarning, Notes, PROBLEMS_MAX};
pub use parse::{DOCUMENT_BYTES_MAX, Documents, parse};
pub use team::SETTING_NAMES;
pub use types::{
    DocumentCohort, DocumentFlag, DocumentGroup, DocumentKey, DocumentPerson, DocumentTeam, ProjectDocument,
    Setting,
};
