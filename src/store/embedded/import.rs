//! Importing project documents into the file, in one transaction.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{ToSql, Transaction, TransactionBehavior, params, params_from_iter};

use super::{EmbeddedStore, open};
use crate::store::import::{self, Cell, Column, ImportReport, Part, Row, Rows};

/// Why an import did nothing.
pub type ImportError = import::ImportError<rusqlite::Error>;

impl EmbeddedStore {
    /// Imports one document, an array of documents, or one document a line. Blocks; requests go on
    /// being answered from what was stored before until the single commit.
    ///
    /// # Errors
    /// With every problem of the input, or when the store fails. Nothing is changed then.
    pub fn import(&self, bytes: &[u8]) -> Result<ImportReport, ImportError> {
        let mut connection = open::connect(self.path()).map_err(ImportError::Store)?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(ImportError::Store)?;
        let mut rows = SqliteRows(transaction);
        let report = import::import(&mut rows, bytes)?;
        rows.0.commit().map_err(ImportError::Store)?;
        self.changed.notify_waiters();
        Ok(report)
    }
}

/// Both parts are the one file.
struct SqliteRows<'c>(Transaction<'c>);

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Bool(value) => ToSqlOutput::Owned(Value::Integer(i64::from(*value))),
            Self::Int(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
        })
    }
}

impl rusqlite::types::FromSql for Cell {
    fn column_result(value: ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        match value {
            ValueRef::Null => Ok(Self::Null),
            ValueRef::Integer(value) => Ok(Self::Int(value)),
            ValueRef::Text(_) => Ok(Self::Text(value.as_str()?.to_owned())),
            // No column of ours has these types.
            ValueRef::Real(_) | ValueRef::Blob(_) => Err(rusqlite::types::FromSqlError::InvalidType),
        }
    }
}

impl Rows for SqliteRows<'_> {
    type Error = rusqlite::Error;

    fn query(&mut self, _: Part, sql: &str, values: &[Cell]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        statement
            .query_map(params_from_iter(values), |row| {
                (0..columns).map(|column| row.get(column)).collect()
            })?
            .collect()
    }

    fn execute(&mut self, _: Part, sql: &str, values: &[Cell]) -> rusqlite::Result<u64> {
        let changed = self.0.prepare_cached(sql)?.execute(params_from_iter(values))?;
        Ok(changed as u64)
    }

    fn insert(&mut self, table: &'static str, columns: &[Column]) -> rusqlite::Result<()> {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        let sql = format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            names.join(", "),
            places.join(", ")
        );
        let values = params_from_iter(columns.iter().map(|(_, value)| value));
        self.0.prepare_cached(&sql)?.execute(values)?;
        Ok(())
    }

    fn fit(&mut self, _: &'static str, columns: Vec<Column>) -> rusqlite::Result<Vec<Column>> {
        Ok(columns)
    }

    fn highest_id(&mut self, table: &'static str) -> rusqlite::Result<i32> {
        let sql = format!("SELECT coalesce(max(id), 0) FROM {table}");
        self.0.query_row(&sql, [], |row| row.get(0))
    }

    /// The file has one writer at a time, and ids come only from imports.
    fn reserve_ids(&mut self, _: &'static str, _: i32) -> rusqlite::Result<()> {
        Ok(())
    }

    fn insert_person(&mut self, team_id: i32, uuid: &str) -> rusqlite::Result<i64> {
        self.0
            .prepare_cached(
                "INSERT INTO posthog_person (team_id, uuid, created_at)
                 VALUES (?1, ?2, strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'))",
            )?
            .insert(params![team_id, uuid])
    }

    fn remove_flag(&mut self, flag_id: i32) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("DELETE FROM posthog_featureflag WHERE id = ?1")?
            .execute([flag_id])?;
        Ok(())
    }

    fn write_experiment(&mut self, _: i32, flag_id: i32, known: Option<bool>) -> rusqlite::Result<bool> {
        let changed = self
            .0
            .prepare_cached(
                "UPDATE posthog_featureflag SET has_experiment = ?2
                 WHERE id = ?1 AND has_experiment IS NOT ?2",
            )?
            .execute(params![flag_id, known])?;
        Ok(changed > 0)
    }

    fn write_quota(&mut self, team_id: i32, resources: &[String]) -> rusqlite::Result<bool> {
        let stored: Vec<String> = self
            .0
            .prepare_cached(
                "SELECT resource FROM embedded_quota_limited WHERE team_id = ?1 ORDER BY resource",
            )?
            .query_map([team_id], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        if stored == resources {
            return Ok(false);
        }
        self.0
            .prepare_cached("DELETE FROM embedded_quota_limited WHERE team_id = ?1")?
            .execute([team_id])?;
        for resource in resources {
            self.0
                .prepare_cached("INSERT INTO embedded_quota_limited (team_id, resource) VALUES (?1, ?2)")?
                .execute(params![team_id, resource])?;
        }
        Ok(true)
    }

    fn key_links(&mut self) -> rusqlite::Result<&'static str> {
        Ok("embedded_project_key")
    }

    fn announce(&mut self, api_token: &str) -> rusqlite::Result<()> {
        self.0
            .prepare_cached(
                "INSERT INTO embedded_revision (api_token, revision)
                 SELECT ?1, coalesce(max(revision), 0) + 1 FROM embedded_revision WHERE true
                 ON CONFLICT (api_token) DO UPDATE SET revision = excluded.revision",
            )?
            .execute([api_token])?;
        Ok(())
    }
}
