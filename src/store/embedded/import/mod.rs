//! Importing project documents: all of them in one transaction, or nothing.

mod clash;
mod definitions;
mod identity;
mod keys;
mod people;
mod plan;
mod rows;

use std::fmt;

use rusqlite::{Transaction, TransactionBehavior, params};

use super::{EmbeddedStore, open};
use crate::definition::document::{ImportProblem, ImportWarning, parse};
use plan::Plan;

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// One entry a document, in order.
    pub projects: Vec<ProjectReport>,
    /// What is odd about the documents.
    pub warnings: Vec<ImportWarning>,
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
    /// Definitions differ from those stored before; a running server reloads the project.
    pub definitions_changed: bool,
}

/// Why an import did nothing.
#[derive(Debug)]
pub enum ImportError {
    /// Every problem of every document.
    Problems {
        /// In the order of the documents; clashes with the store last. Never empty.
        problems: Vec<ImportProblem>,
        /// What else is odd.
        warnings: Vec<ImportWarning>,
    },
    /// The store failed.
    Store(rusqlite::Error),
}

impl fmt::Display for ImportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems { problems, .. } => {
                for (index, problem) in problems.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "\n" };
                    write!(formatter, "{separator}{problem}")?;
                }
                Ok(())
            }
            Self::Store(error) => write!(formatter, "store failed, nothing was imported: {error}"),
        }
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Problems { .. } => None,
            Self::Store(error) => Some(error),
        }
    }
}

impl From<rusqlite::Error> for ImportError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error)
    }
}

impl EmbeddedStore {
    /// Imports one document, an array of documents, or one document a line. Blocks; requests go on
    /// being answered from what was stored before until the single commit.
    ///
    /// # Errors
    /// With every problem of the input, or when the store fails. Nothing is changed then.
    pub fn import(&self, bytes: &[u8]) -> Result<ImportReport, ImportError> {
        let parsed = parse(bytes);
        let mut notes = parsed.notes;
        let mut connection = open::connect(self.path())?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let plans = plan::plan(&transaction, &parsed.documents, &mut notes)?;
        if !notes.problems.is_empty() {
            let warnings = std::mem::take(&mut notes.warnings);
            return Err(ImportError::Problems {
                problems: notes.into_problems(),
                warnings,
            });
        }
        let mut report = ImportReport {
            projects: Vec::new(),
            warnings: notes.warnings,
        };
        for plan in &plans {
            report.projects.push(apply(&transaction, plan)?);
        }
        transaction.commit()?;
        self.changed.notify_waiters();
        Ok(report)
    }
}

fn apply(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<ProjectReport> {
    let document = plan.document;
    let mut changed = definitions::write_team(transaction, plan)?;
    changed |= definitions::write_flags(transaction, plan)?;
    changed |= definitions::write_cohorts(transaction, plan)?;
    changed |= definitions::write_config(transaction, plan)?;
    changed |= definitions::write_quota(transaction, plan)?;
    changed |= keys::write(transaction, plan)?;
    let mapping_changed = definitions::write_group_types(transaction, plan)?;
    people::write_groups(transaction, plan)?;
    let persons = people::write_persons(transaction, plan)?;
    people::write_members(transaction, plan, &persons)?;
    if changed || mapping_changed {
        raise_revision(transaction, &document.team.api_token)?;
        if let Some(previous) = &plan.previous_token {
            raise_revision(transaction, previous)?;
        }
    }
    if mapping_changed {
        raise_siblings(transaction, plan)?;
    }
    Ok(ProjectReport {
        team_id: plan.team_id,
        api_token: document.team.api_token.clone(),
        flags: document.flags.len(),
        cohorts: document.cohorts.len(),
        persons: document.persons.len(),
        definitions_changed: changed || mapping_changed,
    })
}

fn raise_revision(transaction: &Transaction<'_>, token: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO embedded_revision (api_token, revision)
             SELECT ?1, coalesce(max(revision), 0) + 1 FROM embedded_revision WHERE true
             ON CONFLICT (api_token) DO UPDATE SET revision = excluded.revision",
        )?
        .execute([token])?;
    Ok(())
}

/// Group types belong to the project: other teams of it read them too.
fn raise_siblings(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<()> {
    let tokens: Vec<String> = transaction
        .prepare_cached(
            "SELECT api_token FROM posthog_team WHERE coalesce(project_id, id) = ?1 AND id <> ?2",
        )?
        .query_map(params![plan.project_id, plan.team_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    tokens
        .iter()
        .try_for_each(|token| raise_revision(transaction, token))
}
