//! Resources over quota, and what a failed read means.

use rusqlite::ErrorCode;

use super::EmbeddedStore;
use super::pool::PoolError;
use crate::snapshot::LoadError;

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
