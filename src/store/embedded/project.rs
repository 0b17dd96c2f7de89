//! Resources over quota: of one project, and all projects of one; and what a failed read means.

use rusqlite::ErrorCode;

use super::EmbeddedStore;
use super::pool::PoolError;
use crate::hypercache::{BoxFuture, TierError};
use crate::quota::{LimitSource, Limited, Resource};
use crate::snapshot::LoadError;

impl LimitSource for EmbeddedStore {
    /// A limit holds until the next import of the project.
    fn limited(
        &self,
        resource: Resource,
        _: u64,
        tokens_max: usize,
    ) -> BoxFuture<'_, Result<Limited, TierError>> {
        let limit = i64::try_from(tokens_max).unwrap_or(i64::MAX).saturating_add(1);
        Box::pin(async move {
            let read = self.readers.run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT t.api_token FROM embedded_quota_limited q JOIN posthog_team t ON t.id = q.team_id
                     WHERE q.resource = ?1 LIMIT ?2",
                )?;
                let tokens =
                    statement.query_map((resource.name(), limit), |row| row.get::<_, Box<str>>(0))?;
                let (mut found, mut truncated) = (Limited::default(), false);
                for token in tokens {
                    truncated = found.tokens.len() == tokens_max;
                    if !truncated {
                        found.tokens.insert(token?);
                    }
                }
                found.truncated = truncated;
                Ok(found)
            });
            read.await.map_err(|error| match error {
                PoolError::Unavailable(detail) => TierError::Unavailable(detail.to_owned()),
                PoolError::Sqlite(error) => TierError::Failed(error.to_string()),
            })
        })
    }
}

impl EmbeddedStore {
    /// Resources over quota of the team that has the token; empty for unknown tokens.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn quota_limited(&self, token: &str) -> Result<Vec<String>, LoadError> {
        let token = token.to_owned();
        let read = self.readers.run(move |connection| {
            connection
                .prepare_cached(
                    "SELECT q.resource FROM embedded_quota_limited q JOIN posthog_team t ON t.id = q.team_id
                     WHERE t.api_token = ?1 ORDER BY q.resource",
                )?
                .query_map([token], |row| row.get(0))?
                .collect()
        });
        read.await.map_err(load_error)
    }
}

/// What a failed read means to the snapshot map.
pub(super) fn load_error(error: PoolError) -> LoadError {
    match error {
        PoolError::Unavailable(reason) => LoadError::Unavailable(reason.to_owned()),
        PoolError::Sqlite(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LoadError::Timeout,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                LoadError::Corrupt(error.to_string())
            }
            // No SQLite code: a column holds what its type does not allow.
            None => LoadError::Corrupt(error.to_string()),
            Some(_) => LoadError::Unavailable(error.to_string()),
        },
    }
}
