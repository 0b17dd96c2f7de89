//! Hearing of imports, also those of other processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::EmbeddedStore;
use super::pool::{Pool, PoolError};
use super::project::load_error;
use crate::snapshot::LoadError;
use crate::snapshot::push::PushClock;

/// How often the file is asked whether it has changed. The question reads one page that is in
/// memory, so this costs nothing measurable and keeps a change within a second with room to spare.
const POLL: Duration = Duration::from_millis(200);

/// Connection, and how far its reader has come.
pub(super) struct Watch {
    connection: Pool,
    /// Revisions up to here have been handed out.
    seen_revision: AtomicI64,
    /// `PRAGMA data_version` when all revisions up to `seen_revision` were read; 0 before the first look.
    seen_version: AtomicI64,
    /// Every look that finds nothing new proves that what was loaded before it is current.
    pub(super) clock: Arc<PushClock>,
}

impl Watch {
    /// Starts at the present revision: what was imported before the store was opened is no news.
    pub(super) fn start(connection: Connection) -> rusqlite::Result<std::io::Result<Self>> {
        let revision = connection.query_row(
            "SELECT coalesce(max(revision), 0) FROM embedded_revision",
            [],
            |row| row.get(0),
        )?;
        Ok(
            Pool::start("store-watch", vec![connection], 1).map(|connection| Self {
                connection,
                seen_revision: AtomicI64::new(revision),
                seen_version: AtomicI64::new(0),
                clock: Arc::new(PushClock::new(1)),
            }),
        )
    }
}

impl Watch {
    fn proven(&self, asked: Instant) {
        let epoch = self.clock.begin(0, asked);
        self.clock.prove(0, epoch, asked);
    }
}

/// What one look at the file found.
struct Look {
    version: i64,
    revision: i64,
    tokens: Vec<String>,
}

impl EmbeddedStore {
    /// Waits for changed definitions. One caller at a time: two would share the changes between them.
    pub(super) async fn next_change(&self) -> Result<Vec<String>, LoadError> {
        loop {
            // Registered before looking, so that an import between look and wait is not missed.
            let rung = self.changed.notified();
            let asked = Instant::now();
            let revision = self.watch.seen_revision.load(Ordering::Acquire);
            let version = self.watch.seen_version.load(Ordering::Acquire);
            let looked = self
                .watch
                .connection
                .run(move |connection| look(connection, version, revision))
                .await;
            match looked {
                // No await between here and the return: a dropped future has not moved on.
                Ok(Some(found)) => {
                    self.watch.seen_revision.store(found.revision, Ordering::Release);
                    self.watch.seen_version.store(found.version, Ordering::Release);
                    if !found.tokens.is_empty() {
                        return Ok(found.tokens);
                    }
                    self.watch.proven(asked);
                }
                Ok(None) => self.watch.proven(asked),
                // The look of a future that was dropped may still be running: ask again.
                Err(PoolError::Unavailable("queue is full")) => {}
                Err(error) => {
                    self.watch.clock.end(0);
                    return Err(load_error(error));
                }
            }
            // Either wake-up is followed by a look; a lost ring costs one poll interval.
            let _ = tokio::time::timeout(POLL, rung).await;
        }
    }
}

fn look(
    connection: &mut Connection,
    seen_version: i64,
    seen_revision: i64,
) -> rusqlite::Result<Option<Look>> {
    // Read before the rows: a commit in between makes the version stale, and the next look sees it.
    let version: i64 = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
    if version == seen_version {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(
        "SELECT api_token, revision FROM embedded_revision WHERE revision > ?1 ORDER BY revision",
    )?;
    let mut found = Look {
        version,
        revision: seen_revision,
        tokens: Vec::new(),
    };
    let mut rows = statement.query([seen_revision])?;
    while let Some(row) = rows.next()? {
        found.tokens.push(row.get(0)?);
        found.revision = row.get(1)?;
    }
    Ok(Some(found))
}
