//! A connection in the hands of one caller.
//!
//! Every exchange is bounded in time. When a future is dropped in the middle of one, the connection is closed instead of
//! being handed on with a stranger's answer on its way, and the server is asked to stop.

use std::time::{Duration, Instant};

use bb8::PooledConnection;
use tokio_postgres::Row;

use super::connection::Query;
use super::error::{PostgresError, is_connection_failure, is_stale_statement};
use super::manager::{Manager, count};
use super::pool::Pool;
use super::span;
use super::trial::Trial;
use crate::span::settle;

/// For asking the server to stop; it is best effort.
const CANCEL_LIMIT: Duration = Duration::from_secs(1);

/// See the module. Goes back to the pool when dropped.
pub struct Lease<'p> {
    pool: &'p Pool,
    connection: PooledConnection<'p, Manager>,
    trial: Trial<'p>,
    since: Instant,
}

impl<'p> Lease<'p> {
    pub(super) fn new(pool: &'p Pool, connection: PooledConnection<'p, Manager>, trial: Trial<'p>) -> Self {
        Self {
            pool,
            connection,
            trial,
            since: Instant::now(),
        }
    }

    /// One statement.
    pub(super) async fn query(&mut self, query: Query<'_>) -> Result<Vec<Row>, PostgresError> {
        let mut answers = self.exchange(None, &[query], None).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Statements that do not need each other's answers, in one round trip. `begin` and `end` are commands without
    /// parameters around them; with `begin` and without `end` the transaction stays open for the next exchange.
    /// Rows of each of `queries`, or the first failure. A failed transaction is over when this returns, or the connection is.
    pub(super) async fn exchange(
        &mut self,
        begin: Option<&'static str>,
        queries: &[Query<'_>],
        end: Option<&'static str>,
    ) -> Result<Vec<Vec<Row>>, PostgresError> {
        let span = span::begin(self.pool.name(), begin, queries, end);
        let answer = self.exchange_uncounted(begin, queries, end).await;
        settle(span, &answer, span::code);
        if let Err(error) = &answer {
            self.pool.metrics.failed(error);
        }
        answer
    }

    async fn exchange_uncounted(
        &mut self,
        begin: Option<&'static str>,
        queries: &[Query<'_>],
        end: Option<&'static str>,
    ) -> Result<Vec<Vec<Row>>, PostgresError> {
        let connection = &mut *self.connection;
        connection.busy = true;
        let mut sent = false;
        self.trial.begin(self.pool.answer_limit);
        let work = async {
            // A refusal here leaves a transaction as it is: neither begun nor ended.
            connection.prepare(queries).await?;
            sent = true;
            connection.in_transaction |= begin.is_some();
            count(&self.pool.counters.round_trips);
            connection.exchange(begin, queries, end).await
        };
        let answer = tokio::time::timeout(self.pool.answer_limit, work).await;
        let Ok(answer) = answer else {
            self.trial.settle(false);
            return Err(PostgresError::AnswerTimeout);
        };
        self.connection.busy = false;
        let works = match &answer {
            Ok(_) => true,
            Err(error) => {
                let lost = is_connection_failure(error);
                self.connection.broken |= lost || is_stale_statement(error);
                !lost
            }
        };
        self.trial.settle(works);
        if sent && end.is_some() && works {
            // The server ends a transaction with its last command, failed or not.
            self.connection.in_transaction = false;
        }
        Ok(answer?)
    }

    /// Ends an open transaction without effect. Without success the connection is closed, which does the same.
    pub(super) async fn roll_back(&mut self) {
        if self.connection.in_transaction && !self.connection.broken {
            // Reported is the error that led here.
            let _ = self.exchange(None, &[], Some("ROLLBACK")).await;
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.pool.metrics.released(self.since);
        if !self.connection.busy {
            return;
        }
        let (Ok(runtime), Ok(turn)) = (
            tokio::runtime::Handle::try_current(),
            self.pool.cancels.clone().try_acquire_owned(),
        ) else {
            return;
        };
        count(&self.pool.counters.canceled);
        let token = self.connection.cancel_token();
        let connector = self.pool.connector.0.clone();
        runtime.spawn(async move {
            // The statement timeout does the same, only later.
            let _ = tokio::time::timeout(CANCEL_LIMIT, token.cancel_query(connector)).await;
            drop(turn);
        });
    }
}
