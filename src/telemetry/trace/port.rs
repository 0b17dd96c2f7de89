//! What the exporter asks of whatever brings its messages to a collector.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

/// A collector of traces.
pub trait Collector: Send + Sync {
    /// Sends one `ExportTraceServiceRequest`; the `ExportTraceServiceResponse` that answers it. `limit`: when the caller
    /// gives up. Dropping the future gives the attempt up.
    fn export(
        &self,
        request: Bytes,
        limit: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, ExportError>> + Send + '_>>;

    /// Where it is, without credentials.
    fn place(&self) -> &str;
}

/// Whether the same request may be sent again. OTLP says so by status: most refusals are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would be refused again.
    Never,
    /// After this time, if the collector asks for one.
    After(Option<Duration>),
}

/// Why a collector did not take a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportError {
    /// Whether to try again.
    pub retry: Retry,
    /// For people.
    pub detail: String,
}

impl ExportError {
    /// Final.
    #[must_use]
    pub fn never(detail: impl Into<String>) -> Self {
        Self {
            retry: Retry::Never,
            detail: detail.into(),
        }
    }

    /// May pass.
    #[must_use]
    pub fn later(detail: impl Into<String>) -> Self {
        Self {
            retry: Retry::After(None),
            detail: detail.into(),
        }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for ExportError {}
