//! TLS with libpq's meaning of `sslmode`, against a server with a certificate that the test makes.

use std::path::Path;
use std::process::Command;

use feature_flags::store::postgres::import::{ImportTarget, import};
use feature_flags::store::postgres::{Pool, PoolSettings, TlsError, ping};

use crate::server::{Server, settings};

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("openssl runs");
    assert!(
        output.status.success(),
        "{arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A certificate authority, `name.pem` and `name.key`.
fn authority(directory: &Path, name: &str) {
    openssl(
        directory,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} \
             -addext basicConstraints=critical,CA:TRUE -keyout {name}.key -out {name}.pem"
        ),
    );
}

/// A server with a certificate for `localhost` that `authority` has signed, and `stranger.pem`, which has signed nothing.
fn server(more: &[&str]) -> Server {
    let directory = tempfile::Builder::new()
        .prefix("flags-tls-")
        .tempdir()
        .expect("a directory")
        .keep();
    authority(&directory, "authority");
    authority(&directory, "stranger");
    openssl(
        &directory,
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server -keyout server.key -out server.csr",
    );
    std::fs::write(
        directory.join("names"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .expect("a file");
    openssl(
        &directory,
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
    let option = |name: &str, file: &str| format!("{name}={}", directory.join(file).display());
    let mut options = vec![
        "-c".to_owned(),
        "ssl=on".to_owned(),
        "-c".to_owned(),
        option("ssl_cert_file", "server.pem"),
        "-c".to_owned(),
        option("ssl_key_file", "server.key"),
    ];
    for option in more {
        options.extend(["-c".to_owned(), (*option).to_owned()]);
    }
    Server::start_in(directory, &options)
}

#[tokio::test]
async fn each_mode_asks_what_libpq_asks() {
    let server = tokio::task::spawn_blocking(|| server(&[]))
        .await
        .expect("a server");
    let file = |name: &str| server.directory().join(name).display().to_string();
    let (known, stranger) = (file("authority.pem"), file("stranger.pem"));
    let cases = [
        // Host, mode, authority, connects, over TLS.
        ("localhost", "verify-full", Some(&known), true, true),
        ("127.0.0.1", "verify-full", Some(&known), false, true),
        ("localhost", "verify-full", Some(&stranger), false, true),
        ("localhost", "verify-full", None, false, true),
        ("127.0.0.1", "verify-ca", Some(&known), true, true),
        ("127.0.0.1", "verify-ca", Some(&stranger), false, true),
        ("127.0.0.1", "require", None, true, true),
        ("127.0.0.1", "require", Some(&stranger), false, true),
        ("127.0.0.1", "prefer", None, true, true),
        ("127.0.0.1", "disable", None, true, false),
    ];
    for (host, mode, authority, connects, tls) in cases {
        let name = format!("{mode}-{host}");
        let roots = authority
            .map(|path| format!("&sslrootcert={path}"))
            .unwrap_or_default();
        let url = format!(
            "postgres://posthog@{host}:{}/template?sslmode={mode}&application_name={name}{roots}",
            server.port
        );
        let pool = match Pool::open("test", settings(&url)) {
            Ok(pool) => pool,
            // A machine without authorities of its own.
            Err(TlsError::NoNativeRoots) => {
                assert!(authority.is_none() && !connects);
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let answer = ping(&pool).await;
        assert_eq!(answer.is_ok(), connects, "{url}: {answer:?}");
        let target = ImportTarget {
            main_url: url.clone(),
            persons_url: None,
        };
        let imported = import(target, br#"{ "team": { "api_token": "phc_tls" } }"#).await;
        assert_eq!(imported.is_ok(), connects, "{url}: {imported:?}");
        if connects {
            let admin = crate::server::client(&server.url("template")).await;
            let sql = "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = $1";
            let over_tls: bool = admin.query_one(sql, &[&name]).await.expect("it answers").get(0);
            assert_eq!(over_tls, tls, "{url}");
        }
    }
}

#[tokio::test]
async fn a_plain_server_is_for_modes_that_do_not_need_more() {
    let database = crate::server::database().await;
    for (mode, connects) in [
        ("disable", true),
        ("prefer", true),
        ("allow", true),
        ("require", false),
    ] {
        let url = database
            .url
            .replace("sslmode=disable", &format!("sslmode={mode}"));
        let pool = Pool::open("test", settings(&url)).expect("a pool");
        assert_eq!(ping(&pool).await.is_ok(), connects, "{mode}");
    }
}

#[tokio::test]
async fn a_missing_authority_file_is_found_at_start() {
    let settings: PoolSettings = settings("postgres://u@h/d?sslmode=verify-full&sslrootcert=/nowhere.pem");
    assert!(matches!(
        Pool::open("test", settings),
        Err(TlsError::Roots { .. })
    ));
}

#[tokio::test]
async fn prefer_is_plain_where_the_handshake_fails_and_require_is_not() {
    // Versions that we do not speak.
    let old = [
        "ssl_min_protocol_version=TLSv1",
        "ssl_max_protocol_version=TLSv1.1",
    ];
    let server = tokio::task::spawn_blocking(move || server(&old))
        .await
        .expect("a server");
    for (mode, connects) in [("prefer", true), ("require", false)] {
        let url = server
            .url("template")
            .replace("sslmode=disable", &format!("sslmode={mode}"));
        let pool = Pool::open("test", settings(&url)).expect("a pool");
        let answer = ping(&pool).await;
        assert_eq!(answer.is_ok(), connects, "{mode}: {answer:?}");
    }
}
