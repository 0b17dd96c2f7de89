//! From what a URL asks of the server's certificate to a connector. Reads certificate files once, when a pool is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::any_certificate::AnyCertificate;
use super::chain_only::ChainOnly;
use super::url::{PostgresUrl, TlsMode};

/// Why there is no connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsError {
    /// The file of `sslrootcert` cannot be read, or has no certificate.
    Roots {
        /// As the URL names it.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The machine has no authorities.
    NoNativeRoots,
    /// The library refuses the combination.
    Setup(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Roots { path, detail } => write!(formatter, "sslrootcert {}: {detail}", path.display()),
            Self::NoNativeRoots => formatter.write_str("this machine has no certificate authorities"),
            Self::Setup(detail) => write!(formatter, "TLS cannot be set up: {detail}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// The connector of a URL. For plain connections it is never asked.
pub(super) fn connector(url: &PostgresUrl) -> Result<MakeRustlsConnect, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let setup = |error: &dyn fmt::Display| TlsError::Setup(error.to_string());
    let verifier: Arc<dyn ServerCertVerifier> = match url.tls_mode() {
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => {
            Arc::new(AnyCertificate(Arc::clone(&provider)))
        }
        mode @ (TlsMode::VerifyCa | TlsMode::VerifyFull) => {
            let roots = Arc::new(roots(url)?);
            let full = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| setup(&error))?;
            if mode == TlsMode::VerifyFull {
                full
            } else {
                Arc::new(ChainOnly(full))
            }
        }
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The driver of a connection, to be run as a task.
pub(super) type Driver =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Opens a connection. `prefer` also means plain where the handshake fails.
pub(super) async fn connect(
    config: &Config,
    connector: &MakeRustlsConnect,
) -> Result<(Client, Driver), tokio_postgres::Error> {
    match config.connect(connector.clone()).await {
        Err(error)
            if config.get_ssl_mode() == SslMode::Prefer && error.to_string().contains("TLS handshake") =>
        {
            let mut plain = config.clone();
            plain.ssl_mode(SslMode::Disable);
            plain.connect(connector.clone()).await
        }
        settled => settled,
    }
}

fn roots(url: &PostgresUrl) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let Some(path) = url.roots() else {
        // Files that cannot be read are other authorities' business; having none at all is ours.
        let (added, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if added > 0 {
            Ok(store)
        } else {
            Err(TlsError::NoNativeRoots)
        };
    };
    let refused = |detail: String| TlsError::Roots {
        path: path.clone(),
        detail,
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))? {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| refused(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(refused("it has no certificate".to_owned()));
    }
    Ok(store)
}
