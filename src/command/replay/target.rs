//! One server: sends a request, reads its answer within bounds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use feature_flags::replay::{Answer, Request};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Uri;
use hyper::header::CONTENT_TYPE;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use super::Failure;
use crate::cli::Replay;

/// For a connection; an answer has a limit of its own.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A server.
pub struct Target {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Without the slash behind it.
    pub url: String,
    time_limit: Duration,
    answer_bytes_max: usize,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The request cannot be written as HTTP.
    Request,
    /// No connection.
    Connect,
    /// The time is over.
    TimeLimit,
    /// The answer is longer than it may be.
    TooLong,
    /// The connection broke, or what answers speaks no HTTP.
    Broken,
}

impl SendError {
    /// As reports have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "not sendable",
            Self::Connect => "no connection",
            Self::TimeLimit => "no answer in time",
            Self::TooLong => "answer too long",
            Self::Broken => "connection broken",
        }
    }
}

impl Target {
    /// A client of its own for each server, so that neither waits for the other's connections.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(url: &str, arguments: &Replay) -> Result<Self, Failure> {
        let trimmed = url.trim_end_matches('/');
        let uri: Uri = trimmed.parse().map_err(|error| Failure::context(url, error))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(Failure::new(format!("{url}: expected http:// or https://"))),
        };
        if uri.query().is_some()
            || uri
                .authority()
                .is_none_or(|authority| authority.as_str().contains('@'))
        {
            return Err(Failure::new(format!(
                "{url}: expected a host, and at most a path"
            )));
        }
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_LIMIT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(is_tls)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(arguments.concurrency)
            .build(connector);
        Ok(Self {
            client,
            url: trimmed.to_owned(),
            time_limit: arguments.time_limit,
            answer_bytes_max: arguments.answer_bytes_max,
        })
    }

    /// Sends a request whose tokens are in place and whose body is encoded.
    ///
    /// # Errors
    /// Without a whole answer.
    pub async fn send(&self, request: &Request) -> Result<Answer, SendError> {
        let mut builder = hyper::Request::builder()
            .method(request.method.as_str())
            .uri(format!("{}{}", self.url, request.target));
        for (name, value) in &request.headers {
            builder = builder.header(name.as_str(), value.as_str());
        }
        let body = Full::new(Bytes::copy_from_slice(&request.body));
        let sent = builder.body(body).map_err(|_| SendError::Request)?;
        tokio::time::timeout(self.time_limit, self.exchange(sent))
            .await
            .unwrap_or(Err(SendError::TimeLimit))
    }

    async fn exchange(&self, request: hyper::Request<Full<Bytes>>) -> Result<Answer, SendError> {
        let answer = self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                SendError::Connect
            } else {
                SendError::Broken
            }
        })?;
        let status = answer.status().as_u16();
        let content_type = answer.headers().get(CONTENT_TYPE);
        let content_type = content_type.map_or_else(String::new, |value| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        });
        let body = Limited::new(answer.into_body(), self.answer_bytes_max)
            .collect()
            .await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                SendError::TooLong
            } else {
                SendError::Broken
            }
        })?;
        Ok(Answer {
            status,
            content_type,
            body: body.to_bytes().to_vec(),
        })
    }
}

/// The system's certificates, read only where they are needed.
fn tls(is_needed: bool) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    if is_needed {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::context("TLS", error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
