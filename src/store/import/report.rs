//! What an import says when it has ended.

use std::fmt;

use crate::definition::document::{ImportProblem, ImportWarning};

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// One entry a document, in order.
    pub projects: Vec<ProjectReport>,
    /// Teams whose definitions differ from those stored before, each once: those of the documents, and
    /// other teams of a project whose group types changed.
    pub changed: Vec<ChangedTeam>,
    /// Tokens that belonged to a team until this import; nothing is cached rightly under them any more.
    pub replaced_tokens: Vec<String>,
    /// What is odd about the documents.
    pub warnings: Vec<ImportWarning>,
}

/// A team whose cached definitions are out of date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedTeam {
    /// `posthog_team.id`.
    pub team_id: i32,
    /// Project token.
    pub api_token: String,
}

/// What the import of one document did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectReport {
    /// `posthog_team.id`, given or allotted.
    pub team_id: i32,
    /// Project token.
    pub api_token: String,
    /// Flags of the document.
    pub flags: usize,
    /// Cohorts of the document.
    pub cohorts: usize,
    /// Persons of the document.
    pub persons: usize,
    /// Resources that the document says are over quota, sorted. PostgreSQL has no place for them: there
    /// the caller adds the token to the sorted set `@posthog/quota-limits/<resource>` of each, and takes
    /// it out of the others (`storage.md` 6.5).
    pub quota_limited: Vec<String>,
    /// Definitions differ from those stored before; a running server reloads the project.
    pub definitions_changed: bool,
}

/// Why an import did nothing.
#[derive(Debug)]
pub enum ImportError<E> {
    /// Every problem of every document.
    Problems {
        /// In the order of the documents; clashes with the store last. Never empty.
        problems: Vec<ImportProblem>,
        /// What else is odd.
        warnings: Vec<ImportWarning>,
    },
    /// The store failed.
    Store(E),
}

impl<E: fmt::Display> fmt::Display for ImportError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems { problems, .. } => {
                for (index, problem) in problems.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "\n" };
                    write!(formatter, "{separator}{problem}")?;
                }
                Ok(())
            }
            Self::Store(error) => write!(formatter, "import failed: {error}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ImportError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Problems { .. } => None,
            Self::Store(error) => Some(error),
        }
    }
}
