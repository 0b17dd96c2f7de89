//! A collector behind TLS, with a certificate that the test makes.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::collector::Collector;
use crate::process::{Process, run};

const FIRST: &str = "00000000-0000-4000-8000-000000000001";

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("openssl runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {said}");
}

/// `authority.pem`, which signed the certificate of `localhost`, and `stranger.pem`, which signed nothing.
fn acceptor(directory: &Path) -> TlsAcceptor {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for name in ["authority", "stranger"] {
        openssl(
            directory,
            &format!(
                "req -x509 {key} -days 2 -subj /CN={name} -addext basicConstraints=critical,CA:TRUE -keyout {name}.key -out {name}.pem"
            ),
        );
    }
    openssl(
        directory,
        &format!("req {key} -subj /CN=server -keyout server.key -out server.csr"),
    );
    std::fs::write(
        directory.join("names"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        directory,
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
    let chain = CertificateDer::pem_file_iter(directory.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join("server.key")).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.collect::<Result<_, _>>().unwrap(), key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

#[test]
fn either_protocol_goes_over_tls_and_strangers_are_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start_with(Some(acceptor(folder.path())));
    let url = format!("https://localhost:{}", collector.port);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for protocol in ["grpc", "http/protobuf"] {
        let process = Process::dev(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
            ("SSL_CERT_FILE", &file("authority.pem")),
        ]);
        process.ask(FIRST, &[]);
        process.end();
    }
    let requests = collector
        .spans()
        .iter()
        .filter(|received| received.span.name == "POST /flags")
        .count();
    assert_eq!(requests, 2);
    let checked = run(
        &["check"],
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("SSL_CERT_FILE", &file("stranger.pem")),
        ],
    );
    let said = String::from_utf8(checked.stdout).unwrap();
    let row = said.lines().find(|line| line.starts_with("traces ")).unwrap();
    assert!(
        row.contains("warning") && row.contains("TLS: invalid peer certificate"),
        "{row}"
    );
}
