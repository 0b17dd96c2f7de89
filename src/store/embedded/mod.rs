//! The embedded store: one SQLite file that holds the tables of the production database which
//! evaluation needs.
//!
//! Reads and writes of requests run on threads that own a connection each; an import opens its own.
//! Definitions of a team carry a revision, which imports raise and requests never do, so that a
//! running server hears of an import by any process.

mod cookieless;
mod definitions;
mod import;
mod keys;
mod list;
mod open;
mod person;
mod pool;
mod project;
mod run;
mod source;
mod usage;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

pub use crate::store::import::{ImportReport, ProjectReport};
pub use cookieless::EmbeddedCookieless;
pub use import::ImportError;
pub use list::ProjectName;
pub use open::OpenError;
pub use run::run_import;
pub use usage::UsageCount;

use pool::Pool;
use watch::Watch;

/// Connections that serve reads. SQLite reads of a few rows take microseconds; more threads than this only add switching.
const READERS: usize = 4;

/// Reads or writes that may wait for a connection; more are refused as unavailable.
const QUEUE_MAX: usize = 1024;

/// One SQLite file. Cheap to share behind an `Arc`; dropping it ends its threads.
pub struct EmbeddedStore {
    path: PathBuf,
    readers: Pool,
    writer: Pool,
    watch: Watch,
    /// Rung by imports of this process, so that its own watcher need not wait for the next poll.
    changed: Arc<Notify>,
    /// Removed after the connections are closed: fields drop in order.
    _directory: Option<tempfile::TempDir>,
}

impl EmbeddedStore {
    /// Opens a store, making the file and its tables if they are absent. Blocks; meant for start-up.
    ///
    /// # Errors
    /// When the directory cannot be written, the file is not a store, or a newer version made it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_in(path.as_ref(), None)
    }

    /// A store in a directory of its own, removed when the store is dropped.
    ///
    /// # Errors
    /// When the system's directory for temporary files cannot be written.
    pub fn temporary() -> Result<Self, OpenError> {
        let directory = tempfile::Builder::new()
            .prefix("feature-flags-")
            .tempdir()
            .map_err(|source| OpenError::Directory {
                path: std::env::temp_dir(),
                source,
            })?;
        let path = directory.path().join("store.sqlite");
        Self::open_in(&path, Some(directory))
    }

    fn open_in(path: &Path, directory: Option<tempfile::TempDir>) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Sqlite {
            path: path.to_owned(),
            source,
        };
        let thread_failed = |source| OpenError::Directory {
            path: path.to_owned(),
            source,
        };
        let writer = open::create(path)?;
        let readers = (0..READERS)
            .map(|_| open::connect(path))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let changed = Arc::new(Notify::new());
        Ok(Self {
            path: path.to_owned(),
            readers: Pool::start("store-read", readers, QUEUE_MAX).map_err(thread_failed)?,
            writer: Pool::start("store-write", vec![writer], QUEUE_MAX).map_err(thread_failed)?,
            watch: Watch::start(open::connect(path).map_err(failed)?)
                .map_err(failed)?
                .map_err(thread_failed)?,
            changed,
            _directory: directory,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The project that a store without a project of its own is started with: one flag for each way of targeting.
pub const SAMPLE_PROJECT: &str = include_str!("../../sample_project.json");
