//! Credentials in PostgreSQL (`storage.md` 5.3 T2, K1 to K3). Whether a key may do something is not judged here.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connection::Query;
use super::error::PostgresError;
use super::pool::Pool;
use super::tables::column;
use crate::auth::{
    CredentialStore, KeyKind, PersonalKeyRow, PersonalRows, ProjectSecretRow, SecretOwner, SecretRows,
};
use crate::hypercache::{BoxFuture, DatabaseError};

/// Newer versions have the table and the columns.
const OPTIONAL: &str = "SELECT to_regclass('posthog_projectsecretapikey') IS NOT NULL,
           (SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = to_regclass('posthog_team')
              AND attname IN ('secret_api_token', 'secret_api_token_backup') AND NOT attisdropped)";

/// T2, the columns that authentication wants.
const TEAM_BY_SECRET: &str = "SELECT id, api_token, secret_api_token, secret_api_token_backup
    FROM posthog_team WHERE $1 IN (secret_api_token, secret_api_token_backup) LIMIT 1";

/// K1 for any of several forms, without a condition on scopes.
const PERSONAL_KEY: &str = "SELECT k.id, k.user_id, u.is_active, k.scopes::text[], k.scoped_teams,
           k.scoped_organizations::text[],
           COALESCE((SELECT array_agg(m.organization_id::text ORDER BY m.organization_id)
                     FROM posthog_organizationmembership m WHERE m.user_id = k.user_id), '{}')
    FROM posthog_personalapikey k JOIN posthog_user u ON u.id = k.user_id
    WHERE k.secure_value = ANY ($1::text[]) LIMIT 1";

/// K2, likewise.
const PROJECT_KEY: &str = "SELECT k.id, k.team_id, t.api_token, k.scopes::text[]
    FROM posthog_projectsecretapikey k JOIN posthog_team t ON t.id = k.team_id
    WHERE k.secure_value = $1 LIMIT 1";

/// K3.
const PERSONAL_USED: &str = "UPDATE posthog_personalapikey SET last_used_at = now()
    WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 hour')";
const PROJECT_USED: &str = "UPDATE posthog_projectsecretapikey SET last_used_at = now()
    WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 hour')";

/// Keys and secrets.
#[derive(Debug)]
pub struct PostgresKeys {
    reader: Arc<Pool>,
    writer: Arc<Pool>,
    optional: OnceCell<Optional>,
}

#[derive(Debug, Clone, Copy)]
struct Optional {
    project_keys: bool,
    team_secrets: bool,
}

impl PostgresKeys {
    /// Over the two pools of the main database.
    #[must_use]
    pub fn new(reader: Arc<Pool>, writer: Arc<Pool>) -> Self {
        Self {
            reader,
            writer,
            optional: OnceCell::new(),
        }
    }

    /// Rows of each query, in one round trip, for those that this version of the database has.
    async fn ask(
        &self,
        queries: [(&'static str, &(dyn ToSql + Sync)); 2],
        wanted: impl FnOnce(Optional) -> [bool; 2],
    ) -> Result<[Vec<Row>; 2], PostgresError> {
        let mut lease = self.reader.acquire().await?;
        let optional = self.optional.get_or_try_init(|| async {
            let query = Query {
                sql: OPTIONAL,
                parameters: &[],
            };
            let rows = lease.query(query).await?;
            let row = rows
                .first()
                .ok_or_else(|| PostgresError::Row("no row".to_owned()))?;
            Ok::<_, PostgresError>(Optional {
                project_keys: column(row, 0)?,
                team_secrets: column(row, 1)?,
            })
        });
        let wanted = wanted(*optional.await?);
        let parameters = queries.map(|(_, parameter)| [parameter]);
        let asked: Vec<Query<'_>> = queries
            .iter()
            .zip(&parameters)
            .zip(wanted)
            .filter(|(_, wanted)| *wanted)
            .map(|(((sql, _), parameters), _)| Query { sql, parameters })
            .collect();
        if asked.is_empty() {
            return Ok([Vec::new(), Vec::new()]);
        }
        let mut answers = lease.exchange(None, &asked, None).await?.into_iter();
        Ok(wanted.map(|wanted| {
            if wanted {
                answers.next().unwrap_or_default()
            } else {
                Vec::new()
            }
        }))
    }

    async fn read_secret(&self, value: &str, hash: &str) -> Result<SecretRows, PostgresError> {
        let [team, key] = self
            .ask([(TEAM_BY_SECRET, &value), (PROJECT_KEY, &hash)], |optional| {
                [optional.team_secrets, optional.project_keys]
            })
            .await?;
        Ok(SecretRows {
            team: team.first().map(secret_owner).transpose()?,
            key: key.first().map(project_key).transpose()?,
        })
    }

    async fn read_personal(
        &self,
        hashes: &[String],
        value: Option<&str>,
    ) -> Result<PersonalRows, PostgresError> {
        let [key, team] = self
            .ask([(PERSONAL_KEY, &hashes), (TEAM_BY_SECRET, &value)], |optional| {
                [true, optional.team_secrets && value.is_some()]
            })
            .await?;
        Ok(PersonalRows {
            key: key.first().map(personal_key).transpose()?,
            team: team.first().map(secret_owner).transpose()?,
        })
    }

    /// Notes a use, unless one was noted within the last hour.
    ///
    /// # Errors
    /// When the database gave no answer.
    pub async fn set_used(&self, kind: KeyKind, key_id: &str) -> Result<(), DatabaseError> {
        let sql = match kind {
            KeyKind::Personal => PERSONAL_USED,
            KeyKind::ProjectSecret => PROJECT_USED,
        };
        let mut lease = self.writer.acquire().await.map_err(DatabaseError::from)?;
        let query = Query {
            sql,
            parameters: &[&key_id],
        };
        lease.query(query).await?;
        Ok(())
    }
}

fn secret_owner(row: &Row) -> Result<SecretOwner, PostgresError> {
    Ok(SecretOwner {
        team_id: column(row, 0)?,
        api_token: column(row, 1)?,
        secret: column(row, 2)?,
        backup: column(row, 3)?,
    })
}

fn project_key(row: &Row) -> Result<ProjectSecretRow, PostgresError> {
    Ok(ProjectSecretRow {
        key_id: column(row, 0)?,
        team_id: column(row, 1)?,
        api_token: column(row, 2)?,
        scopes: column(row, 3)?,
    })
}

/// A null among the elements of an array fails the row: dropped, it could leave an empty list, which restricts nothing.
fn personal_key(row: &Row) -> Result<PersonalKeyRow, PostgresError> {
    Ok(PersonalKeyRow {
        key_id: column(row, 0)?,
        user_id: column(row, 1)?,
        is_active: column(row, 2)?,
        scopes: column(row, 3)?,
        scoped_teams: column(row, 4)?,
        scoped_organizations: column(row, 5)?,
        organization_ids: column(row, 6)?,
    })
}

impl CredentialStore for PostgresKeys {
    fn secret<'a>(
        &'a self,
        value: &'a str,
        hash: &'a str,
    ) -> BoxFuture<'a, Result<SecretRows, DatabaseError>> {
        Box::pin(async move { Ok(self.read_secret(value, hash).await?) })
    }

    fn personal<'a>(
        &'a self,
        hashes: &'a [String],
        value: Option<&'a str>,
    ) -> BoxFuture<'a, Result<PersonalRows, DatabaseError>> {
        Box::pin(async move { Ok(self.read_personal(hashes, value).await?) })
    }
}
