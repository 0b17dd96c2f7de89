//! Importing project documents into PostgreSQL.
//!
//! One run is one transaction of the main database and, when persons live in another one, one of that.
//! Both are complete, with their deferred constraints checked, before either is committed; main goes
//! first. What is left when the process or a server dies between the two commits: definitions, keys and
//! settings are new; persons, groups, group types and static membership are still the old ones. The same
//! document imported again finds team, flags and cohorts by token, key and name, and so completes the
//! rest under the same ids. The other order would leave people of a team that does not exist, under an
//! id that the next run does not give out again. Membership of a cohort that the first run removed stays
//! behind unread: nothing names that cohort any more.
//!
//! Not decided here: what rows a document becomes (`store::import`), and what caches are made of them.

mod connect;
mod error;
mod layout;
mod open;
mod transaction;
mod value;

use std::fmt;

use tokio::runtime::Handle;

use crate::store::import::{self, ImportReport};
pub use error::{ImportFailure, PostgresFailure};
use transaction::PostgresRows;

/// Why an import was not done, or not to its end.
pub type ImportError = import::ImportError<ImportFailure>;

/// Where an import writes.
#[derive(Clone)]
pub struct ImportTarget {
    /// URL of the main database (`WRITE_DATABASE_URL`).
    pub main_url: String,
    /// URL of the persons database (`PERSONS_WRITE_DATABASE_URL`); `None`: they are in the main one.
    pub persons_url: Option<String>,
}

impl fmt::Debug for ImportTarget {
    /// Without passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let persons = self.persons_url.as_deref().map(connect::place);
        formatter
            .debug_struct("ImportTarget")
            .field("main", &connect::place(&self.main_url))
            .field("persons", &persons)
            .finish()
    }
}

/// Imports one document, an array of documents, or one document a line.
///
/// Takes a lock that every import takes, so that imports run one after the other. The report says what
/// differs from what was stored before; after a run that ended between its commits, or before caches
/// were made, a second run reports less than is out of date, so a caller that makes caches makes them
/// for every project of the document. Quotas are not stored here: see
/// [`ProjectReport::quota_limited`](import::ProjectReport::quota_limited).
///
/// Dropping the future does not stop the import. Needs a Tokio runtime with I/O and time.
///
/// # Errors
/// With every problem of the input, or when a database fails. Nothing is changed then, but for
/// [`ImportFailure::PersonsNotCommitted`] and, perhaps, [`ImportFailure::CommitUnknown`].
pub async fn import(target: ImportTarget, bytes: &[u8]) -> Result<ImportReport, ImportError> {
    let bytes = bytes.to_vec();
    let runtime = Handle::current();
    let done = tokio::task::spawn_blocking(move || import_blocking(runtime, &target, &bytes)).await;
    done.unwrap_or_else(|_| Err(ImportError::Store(ImportFailure::Ended)))
}

fn import_blocking(
    runtime: Handle,
    target: &ImportTarget,
    bytes: &[u8],
) -> Result<ImportReport, ImportError> {
    let mut rows = PostgresRows::begin(runtime, target).map_err(ImportError::Store)?;
    let report = import::import(&mut rows, bytes)?;
    rows.commit().map_err(ImportError::Store)?;
    Ok(report)
}
