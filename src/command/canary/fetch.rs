//! Gets one document over HTTP or HTTPS, within a time and a size.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{Request, Uri, header};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Most bytes of an answer, and of a file. Ours are below a megabyte unless thousands of teams are tracked.
pub const BYTES_MAX: usize = 64 << 20;

/// A client with the system's certificates.
pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    time_limit: Duration,
}

/// Why there is no document.
#[derive(Debug)]
pub enum FetchError {
    Url,
    TimeLimit,
    TooLarge,
    Status(u16, String),
    Http(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for FetchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => formatter.write_str("expected a URL such as http://127.0.0.1:3001/metrics"),
            Self::TimeLimit => formatter.write_str("no whole answer in time"),
            Self::TooLarge => write!(formatter, "the answer is above {} MiB", BYTES_MAX >> 20),
            Self::Status(status, said) => write!(formatter, "answered {status} {said}"),
            Self::Http(error) => {
                // The innermost says what happened; the outer ones only where.
                let mut error: &dyn std::error::Error = error.as_ref();
                while let Some(source) = error.source() {
                    error = source;
                }
                write!(formatter, "{error}")
            }
        }
    }
}

impl Fetcher {
    /// `time_limit` is for each whole answer.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn new(time_limit: Duration) -> std::io::Result<Self> {
        let provider = rustls::crypto::ring::default_provider();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .or_else(|_| no_roots())?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            time_limit,
        })
    }

    /// The body of a 200.
    ///
    /// # Errors
    /// Without one.
    pub async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let uri: Uri = url.parse().map_err(|_| FetchError::Url)?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(FetchError::Url);
        }
        let request = Request::get(uri)
            .header(
                header::USER_AGENT,
                concat!("feature-flags-canary/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::new())
            .map_err(|_| FetchError::Url)?;
        let answer = async {
            let answer = self
                .client
                .request(request)
                .await
                .map_err(|error| FetchError::Http(error.into()))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, BYTES_MAX).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    FetchError::TooLarge
                } else {
                    FetchError::Http(error)
                }
            })?;
            let bytes = body.to_bytes();
            if head.status == 200 {
                return Ok(bytes);
            }
            let said: String = String::from_utf8_lossy(&bytes).trim().chars().take(300).collect();
            Err(FetchError::Status(head.status.as_u16(), said))
        };
        match tokio::time::timeout(self.time_limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchError::TimeLimit),
        }
    }
}

/// A machine without certificates can still ask plain URLs.
fn no_roots()
-> std::io::Result<hyper_rustls::HttpsConnectorBuilder<hyper_rustls::builderstates::WantsSchemes>> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config))
}
