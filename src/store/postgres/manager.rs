//! Makes and judges connections for the pool.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bb8::{ErrorSink, ManageConnection};
use tokio::sync::watch;
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::Connection;
use super::error::{ErrorClass, PostgresError};
use super::tls;
use crate::context::TimeoutKind;

/// Part of a connection's life that is random, so that connections made together do not end together.
const LIFETIME_JITTER: f64 = 0.2;

/// What has happened in a pool since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub acquires: AtomicU64,
    pub round_trips: AtomicU64,
    pub connections_created: AtomicU64,
    pub tests: AtomicU64,
    pub canceled: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Everything that a new connection needs.
pub(super) struct Manager {
    pub config: Config,
    pub connector: MakeRustlsConnect,
    /// For the whole of a connection's making.
    pub connect_limit: Duration,
    /// Longest life of a connection.
    pub lifetime_max: Duration,
    pub counters: Arc<Counters>,
}

impl fmt::Debug for Manager {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Manager")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Manager {
    async fn open(&self) -> Result<Connection, tokio_postgres::Error> {
        let (client, connection) = tls::connect(&self.config, &self.connector).await?;
        // Its error, if it ends with one, is also that of every query that waits.
        let driver = tokio::spawn(async move { drop(connection.await) });
        let lifetime = self.lifetime_max.mul_f64(1.0 - LIFETIME_JITTER * random_share());
        Ok(Connection::new(
            client,
            driver.abort_handle(),
            Instant::now() + lifetime,
        ))
    }
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = PostgresError;

    async fn connect(&self) -> Result<Connection, PostgresError> {
        let connection = tokio::time::timeout(self.connect_limit, self.open())
            .await
            .map_err(|_| PostgresError::Connect {
                detail: "no answer in time".to_owned(),
                class: ErrorClass::Timeout(TimeoutKind::Io),
            })?
            .map_err(|error| PostgresError::connect(&error))?;
        count(&self.counters.connections_created);
        Ok(connection)
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), PostgresError> {
        if connection.is_expired() {
            return Err(PostgresError::Expired);
        }
        count(&self.counters.tests);
        connection.test().await.map_err(PostgresError::from)
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_spent()
    }
}

/// Why the last connection could not be made.
#[derive(Debug, Clone)]
pub(super) struct ConnectFailure {
    pub detail: String,
    pub class: ErrorClass,
}

/// Tells those who wait for a connection that it could not be made; the pool itself would let them wait to the end.
#[derive(Debug, Clone)]
pub(super) struct Failures(pub Arc<watch::Sender<Option<ConnectFailure>>>);

impl ErrorSink<PostgresError> for Failures {
    fn sink(&self, error: PostgresError) {
        if let PostgresError::Connect { detail, class } = error {
            self.0.send_replace(Some(ConnectFailure { detail, class }));
        }
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<PostgresError>> {
        Box::new(self.clone())
    }
}

/// From 0 up to, not including, 1. Spreads ends; nothing secret depends on it.
fn random_share() -> f64 {
    // Each RandomState has keys of its own; the upper 53 bits fill a double's mantissa exactly.
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
