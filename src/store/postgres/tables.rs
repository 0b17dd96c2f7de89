//! What a database has of the tables and columns that not every version has. Asked once, when it is first needed.

use tokio::sync::OnceCell;
use tokio_postgres::Row;

use super::connection::Query;
use super::error::PostgresError;
use super::lease::Lease;

/// Whether deleted persons stay as rows: both columns or none, since one alone could not be relied on (5.3 P1).
const TOMBSTONES: &str = "SELECT count(*) = 2 FROM pg_attribute
    WHERE attrelid IN (to_regclass('posthog_person'), to_regclass('posthog_persondistinctid'))
      AND attname = 'is_deleted' AND NOT attisdropped";

const OPTIONAL: &str = "SELECT to_regclass('posthog_featureflagevaluationcontext') IS NOT NULL
             AND to_regclass('posthog_evaluationcontext') IS NOT NULL,
           to_regclass('posthog_featureflagevaluationtag') IS NOT NULL AND to_regclass('posthog_tag') IS NOT NULL,
           to_regclass('posthog_experiment') IS NOT NULL,
           to_regclass('posthog_survey') IS NOT NULL,
           to_regclass('posthog_remoteconfig') IS NOT NULL,
           to_regclass('posthog_teamfeatureflagsconfig') IS NOT NULL,
           to_regclass('posthog_errortrackingsuppressionrule') IS NOT NULL";

/// Where a flag's evaluation contexts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contexts {
    /// In tables of their own.
    Current,
    /// Among tags.
    Tags,
    /// Nowhere.
    None,
}

/// Optional tables of the main database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tables {
    pub contexts: Contexts,
    pub experiments: bool,
    pub surveys: bool,
    pub remote_config: bool,
    pub team_config: bool,
    pub suppression_rules: bool,
}

/// [`TOMBSTONES`], on the connection that the caller has already. A failure is not remembered.
pub(super) async fn tombstones(known: &OnceCell<bool>, lease: &mut Lease<'_>) -> Result<bool, PostgresError> {
    known
        .get_or_try_init(|| async { one(lease, TOMBSTONES).await.and_then(|row| column(&row, 0)) })
        .await
        .copied()
}

/// [`OPTIONAL`], likewise.
pub(super) async fn tables(known: &OnceCell<Tables>, lease: &mut Lease<'_>) -> Result<Tables, PostgresError> {
    let read = async {
        let row = one(lease, OPTIONAL).await?;
        Ok(Tables {
            contexts: match (column(&row, 0)?, column(&row, 1)?) {
                (true, _) => Contexts::Current,
                (false, true) => Contexts::Tags,
                (false, false) => Contexts::None,
            },
            experiments: column(&row, 2)?,
            surveys: column(&row, 3)?,
            remote_config: column(&row, 4)?,
            team_config: column(&row, 5)?,
            suppression_rules: column(&row, 6)?,
        })
    };
    known.get_or_try_init(|| read).await.copied()
}

async fn one(lease: &mut Lease<'_>, sql: &'static str) -> Result<Row, PostgresError> {
    let query = Query { sql, parameters: &[] };
    let rows = lease.query(query).await?;
    rows.into_iter()
        .next()
        .ok_or_else(|| PostgresError::Row("no row".to_owned()))
}

/// A column of a row by position.
pub(super) fn column<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    at: usize,
) -> Result<T, PostgresError> {
    row.try_get(at)
        .map_err(|error| PostgresError::Row(format!("column {at}: {error}")))
}
