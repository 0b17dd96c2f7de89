//! Usage counts in the file, as Redis would hold them; nobody collects them here, so old ones are forgotten.

use rusqlite::{Connection, TransactionBehavior, params};

use super::EmbeddedStore;
use super::pool::PoolError;
use crate::hypercache::BoxFuture;
use crate::quota::{Applied, ApplyError, Batch, Bucket, UsageSink};

/// Fields that are kept behind the newest one that is written: a month of two minutes each.
const FIELDS_KEPT: i64 = 31 * 720;

/// One stored count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageCount {
    /// Name of the hash.
    pub key: String,
    /// Its field.
    pub field: Bucket,
    /// Requests.
    pub count: u64,
}

impl UsageSink for EmbeddedStore {
    fn apply<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Applied, ApplyError>> {
        Box::pin(async move {
            if batch.in_doubt {
                // Only after a caller gave up waiting: a statement always says what it did.
                return Err(ApplyError::Lost("a write was given up on".to_owned()));
            }
            let writes: Vec<(String, i64, i64)> = batch
                .increments
                .iter()
                .flat_map(|increment| {
                    let (key, field, count) =
                        (increment.key, signed(increment.bucket.0), signed(increment.count));
                    [
                        (key.team_hash(), field, count),
                        (key.library_hash(), field, count),
                    ]
                })
                .collect();
            match self.writer.run(move |connection| add(connection, &writes)).await {
                Ok(()) => Ok(Applied::default()),
                // A transaction that did not commit has done nothing; one that panicked rolled back.
                Err(PoolError::Unavailable(detail)) => Err(ApplyError::NotApplied(detail.to_owned())),
                Err(PoolError::Sqlite(error)) => Err(ApplyError::NotApplied(error.to_string())),
            }
        })
    }
}

fn add(connection: &mut Connection, writes: &[(String, i64, i64)]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (key, field, count) in writes {
        transaction
            .prepare_cached(
                "INSERT INTO embedded_usage (key, field, count) VALUES (?1, ?2, ?3)
                 ON CONFLICT (key, field) DO UPDATE SET count = count + excluded.count",
            )?
            .execute(params![key, field, count])?;
    }
    if let Some(newest) = writes.iter().map(|(_, field, _)| *field).max() {
        transaction
            .prepare_cached("DELETE FROM embedded_usage WHERE field < ?1")?
            .execute([newest - FIELDS_KEPT])?;
    }
    transaction.commit()
}

/// SQLite has signed numbers only.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl EmbeddedStore {
    /// All usage counts, by key and field. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn usage_counts(&self) -> rusqlite::Result<Vec<UsageCount>> {
        let connection = super::open::connect(self.path())?;
        let mut statement =
            connection.prepare("SELECT key, field, count FROM embedded_usage ORDER BY key, field")?;
        statement
            .query_map([], |row| {
                Ok(UsageCount {
                    key: row.get(0)?,
                    field: Bucket(unsigned(row.get(1)?)),
                    count: unsigned(row.get(2)?),
                })
            })?
            .collect()
    }
}
