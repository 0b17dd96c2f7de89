//! Exports, one after the other, over a connection that is kept between them.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::HeaderMap;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::address::{Address, Protocol};
use super::connection::Connection;
use super::{grpc, http};
use crate::telemetry::trace::{Collector, ExportError};

/// Largest answer that is read: a few numbers and a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Speaks OTLP with one collector.
pub struct OtlpClient {
    address: Address,
    shown: String,
    /// The connection of the last export, if it went well. The lock is held for an export: they follow each other.
    kept: Mutex<Option<Connection>>,
}

/// An answer as both protocols have it.
pub(super) struct Answer {
    /// Of HTTP.
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Behind the body.
    pub trailers: HeaderMap,
}

impl OtlpClient {
    /// Connects with the first export, not now.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            shown: format!("{address} ({})", address.protocol.name()),
            address,
            kept: Mutex::default(),
        }
    }

    /// Whether a collector answers there: sends a message without spans.
    ///
    /// # Errors
    /// With the collector's or the network's words.
    pub async fn examine(&self, limit: Duration) -> Result<(), String> {
        let asking = self.ask(Bytes::new(), limit);
        match timeout(limit, asking).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.detail),
            Err(_) => Err(format!("no answer within {} s", limit.as_secs_f64())),
        }
    }

    async fn ask(&self, message: Bytes, limit: Duration) -> Result<Bytes, ExportError> {
        let mut kept = self.kept.lock().await;
        // Taken, so that an export that is given up leaves no connection with an answer on its way.
        let mut connection = match ready(kept.take()).await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let request = match self.address.protocol {
            Protocol::Grpc => grpc::request(&self.address, &message, limit),
            Protocol::Http => http::request(&self.address, message),
        };
        let request = request.map_err(|error| ExportError::never(error.to_string()))?;
        let answer = exchange(&mut connection, request).await?;
        *kept = Some(connection);
        match self.address.protocol {
            Protocol::Grpc => grpc::answer(&answer),
            Protocol::Http => http::answer(answer),
        }
    }

    async fn connect(&self) -> Result<Connection, ExportError> {
        let connection = Connection::open(&self.address)
            .await
            .map_err(ExportError::later)?;
        let connection = ready(Some(connection)).await;
        connection.ok_or_else(|| ExportError::later("the connection was closed at once"))
    }
}

/// The connection, if it can still be used.
async fn ready(connection: Option<Connection>) -> Option<Connection> {
    let mut connection = connection?;
    connection.is_ready().await.then_some(connection)
}

async fn exchange(
    connection: &mut Connection,
    request: hyper::Request<Full<Bytes>>,
) -> Result<Answer, ExportError> {
    let broken = |error: &dyn std::fmt::Display| ExportError::later(format!("the connection broke: {error}"));
    let response = connection.send(request).await.map_err(|error| broken(&error))?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| broken(&error))?;
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        trailers: body.trailers().cloned().unwrap_or_default(),
        body: body.to_bytes(),
    })
}

impl Collector for OtlpClient {
    fn export(
        &self,
        request: Bytes,
        limit: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, ExportError>> + Send + '_>> {
        Box::pin(self.ask(request, limit))
    }

    fn place(&self) -> &str {
        &self.shown
    }
}
