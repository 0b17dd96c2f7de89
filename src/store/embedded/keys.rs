//! Credentials in the file, the twin of PostgreSQL's. Project documents have no word for project secret keys, so there are none.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::de::DeserializeOwned;

use super::EmbeddedStore;
use super::definitions::database_error;
use crate::auth::{
    AuthStores, CredentialStore, KeyKind, KeyUses, PersonalKeyRow, PersonalRows, SecretOwner, SecretRows,
};
use crate::hypercache::{BoxFuture, DatabaseError};

const TEAM_BY_SECRET: &str = "SELECT id, api_token, secret_api_token, secret_api_token_backup
    FROM posthog_team WHERE ?1 IN (secret_api_token, secret_api_token_backup) LIMIT 1";

const PERSONAL_KEY: &str =
    "SELECT k.id, k.user_id, u.is_active, k.scopes, k.scoped_teams, k.scoped_organizations,
           (SELECT json_group_array(m.organization_id) FROM posthog_organizationmembership m
            WHERE m.user_id = k.user_id)
    FROM posthog_personalapikey k JOIN posthog_user u ON u.id = k.user_id
    WHERE k.secure_value = ?1";

const USED: &str = "UPDATE posthog_personalapikey SET last_used_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE id = ?1 AND (last_used_at IS NULL OR julianday(last_used_at) < julianday('now', '-1 hour'))";

impl EmbeddedStore {
    /// Keys and secrets of this file; `skip_writes`: their use is not noted.
    #[must_use]
    pub fn auth(self: &Arc<Self>, skip_writes: bool) -> AuthStores {
        AuthStores {
            keys: Arc::clone(self) as _,
            shared: None,
            uses: (!skip_writes).then(|| Arc::clone(self) as _),
            cache: Arc::default(),
        }
    }
}

impl CredentialStore for EmbeddedStore {
    fn secret<'a>(
        &'a self,
        value: &'a str,
        _hash: &'a str,
    ) -> BoxFuture<'a, Result<SecretRows, DatabaseError>> {
        let value = value.to_owned();
        Box::pin(async move {
            let read = self.readers.query("read credential", move |connection| {
                Ok(SecretRows {
                    team: team_by_secret(connection, &value)?,
                    key: None,
                })
            });
            read.await.map_err(database_error)
        })
    }

    fn personal<'a>(
        &'a self,
        hashes: &'a [String],
        value: Option<&'a str>,
    ) -> BoxFuture<'a, Result<PersonalRows, DatabaseError>> {
        let (hashes, value) = (hashes.to_vec(), value.map(str::to_owned));
        Box::pin(async move {
            let read = self.readers.query("read credential", move |connection| {
                let mut rows = PersonalRows::default();
                for hash in &hashes {
                    let mut statement = connection.prepare_cached(PERSONAL_KEY)?;
                    if let Some(key) = statement.query_row([hash], personal_key).optional()? {
                        rows.key = Some(key);
                        break;
                    }
                }
                if let Some(value) = &value {
                    rows.team = team_by_secret(connection, value)?;
                }
                Ok(rows)
            });
            read.await.map_err(database_error)
        })
    }
}

impl KeyUses for EmbeddedStore {
    fn used<'a>(&'a self, _kind: KeyKind, key_id: &'a str) -> BoxFuture<'a, Result<(), DatabaseError>> {
        let key_id = key_id.to_owned();
        Box::pin(async move {
            let written = self
                .writer
                .run(move |connection| connection.prepare_cached(USED)?.execute([key_id]).map(drop));
            written.await.map_err(database_error)
        })
    }
}

fn team_by_secret(connection: &Connection, value: &str) -> rusqlite::Result<Option<SecretOwner>> {
    let read = |row: &Row<'_>| {
        Ok(SecretOwner {
            team_id: row.get(0)?,
            api_token: row.get(1)?,
            secret: row.get(2)?,
            backup: row.get(3)?,
        })
    };
    connection
        .prepare_cached(TEAM_BY_SECRET)?
        .query_row([value], read)
        .optional()
}

fn personal_key(row: &Row<'_>) -> rusqlite::Result<PersonalKeyRow> {
    Ok(PersonalKeyRow {
        key_id: row.get(0)?,
        user_id: row.get(1)?,
        is_active: row.get(2)?,
        scopes: list(row, 3)?,
        scoped_teams: list(row, 4)?,
        scoped_organizations: list(row, 5)?,
        organization_ids: list(row, 6)?.unwrap_or_default(),
    })
}

/// An array column, JSON text or null.
fn list<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Vec<T>>> {
    let text: Option<String> = row.get(at)?;
    let parse = |text: String| {
        serde_json::from_str(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error))
        })
    };
    text.map(parse).transpose()
}
