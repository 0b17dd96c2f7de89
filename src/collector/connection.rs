//! One connection to a collector, which lasts as long as it is good: exports follow each other.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::address::{Address, Protocol};

/// A connection that is open, or was. Dropping it closes it.
pub struct Connection {
    sender: Sender,
    driver: AbortHandle,
}

enum Sender {
    Grpc(http2::SendRequest<Full<Bytes>>),
    Http(http1::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Opens one. It has no time limit of its own.
    ///
    /// # Errors
    /// With words for people: nobody there, a certificate that is not accepted, another protocol.
    pub async fn open(address: &Address) -> Result<Self, String> {
        let stream = TcpStream::connect((address.host.as_str(), address.port))
            .await
            .map_err(|error| format!("not reachable: {error}"))?;
        // Small messages, and nobody waits for a second one.
        let _ = stream.set_nodelay(true);
        if address.tls {
            let stream = secured(address, stream)
                .await
                .map_err(|error| format!("TLS: {error}"))?;
            Self::over(address.protocol, stream).await
        } else {
            Self::over(address.protocol, stream).await
        }
    }

    async fn over<S>(protocol: Protocol, stream: S) -> Result<Self, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        let spoken = |error: hyper::Error| format!("{}: {error}", protocol.name());
        let (sender, driver) = match protocol {
            Protocol::Grpc => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .handshake(stream)
                    .await
                    .map_err(spoken)?;
                let driver = tokio::spawn(async move { drop(connection.await) });
                (Sender::Grpc(sender), driver)
            }
            Protocol::Http => {
                let (sender, connection) = http1::handshake(stream).await.map_err(spoken)?;
                let driver = tokio::spawn(async move { drop(connection.await) });
                (Sender::Http(sender), driver)
            }
        };
        Ok(Self {
            sender,
            driver: driver.abort_handle(),
        })
    }

    /// Waits until a request can be sent. `false`: it never can.
    pub async fn is_ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Grpc(sender) => sender.ready().await.is_ok(),
            Sender::Http(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the connection breaks before the head of an answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        match &mut self.sender {
            Sender::Grpc(sender) => sender.send_request(request).await,
            Sender::Http(sender) => sender.send_request(request).await,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// TLS with the authorities of the machine (`SSL_CERT_FILE` names others).
async fn secured(
    address: &Address,
    stream: TcpStream,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let other = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(io::Error::other("this machine has no certificate authorities"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| other(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![match address.protocol {
        Protocol::Grpc => b"h2".to_vec(),
        Protocol::Http => b"http/1.1".to_vec(),
    }];
    let name = ServerName::try_from(address.host.clone()).map_err(|error| other(&error))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
