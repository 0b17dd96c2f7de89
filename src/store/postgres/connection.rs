//! One connection, its prepared statements, and whether the next user may have it.

use std::collections::HashMap;
use std::time::Instant;

use tokio::task::AbortHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Client, Error, Row, Statement};

use super::exchange::{join_all, join_boxed};

/// A statement with its parameters.
pub(super) struct Query<'q> {
    /// Text; also what its prepared form is kept under.
    pub sql: &'static str,
    /// In the order of `$1`, `$2` and so on.
    pub parameters: &'q [&'q (dyn ToSql + Sync)],
}

/// A client, with what pooling has to know of it.
pub(super) struct Connection {
    client: Client,
    /// By text. Bounded by the number of statements in this module.
    statements: HashMap<&'static str, Statement>,
    /// Drives the socket; ended with the connection where the server may still be at work.
    driver: AbortHandle,
    /// Past it the connection is closed when it comes back.
    expires: Instant,
    /// An answer is outstanding. Stays set when the asking future is dropped.
    pub busy: bool,
    /// A transaction was begun and has not ended.
    pub in_transaction: bool,
    /// An answer has shown that the connection is of no more use.
    pub broken: bool,
}

impl Connection {
    pub fn new(client: Client, driver: AbortHandle, expires: Instant) -> Self {
        Self {
            client,
            statements: HashMap::new(),
            driver,
            expires,
            busy: false,
            in_transaction: false,
            broken: false,
        }
    }

    /// Whether it must not be used again.
    pub fn is_spent(&self) -> bool {
        self.busy || self.in_transaction || self.broken || self.client.is_closed() || self.is_expired()
    }

    pub fn is_expired(&self) -> bool {
        Instant::now() >= self.expires
    }

    pub fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    /// R1.
    pub async fn test(&mut self) -> Result<(), Error> {
        self.busy = true;
        let answer = self.client.simple_query("SELECT 1").await;
        self.busy = false;
        answer.map(drop)
    }

    /// Prepares the statements that are not yet, in one round trip for all.
    pub async fn prepare(&mut self, queries: &[Query<'_>]) -> Result<(), Error> {
        let missing: Vec<&'static str> = queries
            .iter()
            .map(|query| query.sql)
            .filter(|sql| !self.statements.contains_key(sql))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let prepared = join_boxed(missing.iter().map(|sql| self.client.prepare(sql))).await;
        for (sql, statement) in missing.into_iter().zip(prepared) {
            self.statements.insert(sql, statement?);
        }
        Ok(())
    }

    /// Sends everything at once, and answers with the rows of each query, or the first failure. The statements are prepared.
    pub async fn exchange(
        &self,
        begin: Option<&'static str>,
        queries: &[Query<'_>],
        end: Option<&'static str>,
    ) -> Result<Vec<Vec<Row>>, Error> {
        if let (None, [query], None) = (begin, queries, end) {
            return Ok(vec![self.query(query).await?]);
        }
        let mut answers = join_all(
            begin
                .map(|sql| self.command(sql))
                .into_iter()
                .chain(queries.iter().map(|query| self.boxed(query)))
                .chain(end.map(|sql| self.command(sql)))
                .collect(),
        )
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
        if begin.is_some() {
            answers.remove(0);
        }
        answers.truncate(queries.len());
        Ok(answers)
    }

    async fn query(&self, query: &Query<'_>) -> Result<Vec<Row>, Error> {
        match self.statements.get(query.sql) {
            Some(statement) => self.client.query(statement, query.parameters).await,
            None => self.client.query(query.sql, query.parameters).await,
        }
    }

    fn boxed<'c>(&'c self, query: &'c Query<'_>) -> Answer<'c> {
        Box::pin(self.query(query))
    }

    fn command(&self, sql: &'static str) -> Answer<'_> {
        Box::pin(async move { self.client.batch_execute(sql).await.map(|()| Vec::new()) })
    }
}

type Answer<'c> = crate::hypercache::BoxFuture<'c, Result<Vec<Row>, Error>>;

impl Drop for Connection {
    fn drop(&mut self) {
        // Otherwise the driver says goodbye and ends by itself; this one could wait for an answer for ever.
        if self.busy || self.broken {
            self.driver.abort();
        }
    }
}
