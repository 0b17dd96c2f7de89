//! One connection with an open transaction.

use std::collections::HashMap;

use tokio_postgres::{Client, Statement};

use super::connect::connect;
use super::error::ImportFailure;
use super::value::{Found, Parameter};
use crate::store::import::{Cell, Row};

/// Waits of one statement. An import of hundreds of projects holds the lock for some seconds.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '90s'";

/// A transaction. Dropping it closes the connection, and the server rolls back.
pub(super) struct Open {
    pub(super) client: Client,
    /// Host, port and database, for messages.
    pub(super) place: String,
    prepared: HashMap<String, Statement>,
}

impl Open {
    /// Connects and begins.
    pub(super) async fn begin(url: &str) -> Result<Self, ImportFailure> {
        let (client, place) = connect(url).await?;
        let open = Self {
            client,
            place,
            prepared: HashMap::new(),
        };
        open.batch(BEGIN).await?;
        Ok(open)
    }

    fn failed(&self, error: tokio_postgres::Error) -> ImportFailure {
        ImportFailure::of(&self.place, error)
    }

    /// Runs statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), ImportFailure> {
        let done = self.client.batch_execute(sql).await;
        done.map_err(|error| self.failed(error))
    }

    async fn prepare(&mut self, sql: &str) -> Result<Statement, ImportFailure> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        // Our statements have no question mark but for places.
        let prepared = self.client.prepare(&sql.replace('?', "$")).await;
        let statement = prepared.map_err(|error| self.failed(error))?;
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Rows of a statement with the places `?1`, `?2`, ...
    pub(super) async fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Vec<Row>, ImportFailure> {
        let statement = self.prepare(sql).await?;
        let parameters: Vec<Parameter<'_>> = values.iter().map(Parameter).collect();
        let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            parameters.iter().map(|parameter| parameter as _).collect();
        let rows = self.client.query(&statement, &parameters).await;
        let rows = rows.map_err(|error| self.failed(error))?;
        let cells = |row: &tokio_postgres::Row| {
            (0..row.len())
                .map(|column| row.try_get::<_, Found>(column).map(|found| found.0))
                .collect::<Result<Row, _>>()
        };
        let rows: Result<Vec<Row>, _> = rows.iter().map(cells).collect();
        rows.map_err(|error| self.failed(error))
    }

    /// Runs such a statement and returns how many rows it changed.
    pub(super) async fn execute(&mut self, sql: &str, values: &[Cell]) -> Result<u64, ImportFailure> {
        let statement = self.prepare(sql).await?;
        let parameters: Vec<Parameter<'_>> = values.iter().map(Parameter).collect();
        let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            parameters.iter().map(|parameter| parameter as _).collect();
        let done = self.client.execute(&statement, &parameters).await;
        done.map_err(|error| self.failed(error))
    }
}
