//! The connection of an import: its own, closed when the import ends.

use std::time::Duration;

use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config};

use super::error::{ImportFailure, PostgresFailure};
use crate::store::postgres::tls;
use crate::store::postgres::url::PostgresUrl;

/// How long a server may take to accept a connection. An import is a command that somebody waits for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the server lists as the program behind the connection.
const APPLICATION_NAME: &str = "feature-flags import";

/// `host:port, database name` of a URL, without user and password.
pub(super) fn place(url: &str) -> String {
    PostgresUrl::parse(url).map_or_else(|_| "an unreadable URL".to_owned(), |url| place_of(&url.config))
}

fn place_of(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let port = ports.get(index).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(path) => path.display().to_string(),
            }
        })
        .collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or("(default)");
    format!("{}, database {database}", hosts.join(","))
}

/// A connection to `url`, with TLS as its `sslmode` asks, and its place for messages. Its I/O runs as a task of the current runtime until
/// the client is dropped.
pub(super) async fn connect(url: &str) -> Result<(Client, String), ImportFailure> {
    let url = PostgresUrl::parse(url).map_err(ImportFailure::Address)?;
    let connector = tls::connector(&url).map_err(ImportFailure::Certificates)?;
    let mut config = url.config;
    config.connect_timeout(CONNECT_TIMEOUT);
    config.application_name(APPLICATION_NAME);
    let place = place_of(&config);
    let (client, connection) = tokio::time::timeout(CONNECT_TIMEOUT, tls::connect(&config, &connector))
        .await
        .map_err(|_| ImportFailure::Unreachable {
            place: place.clone(),
            source: None,
        })?
        .map_err(|source| ImportFailure::Unreachable {
            place: place.clone(),
            source: Some(PostgresFailure(source)),
        })?;
    // How it ends is told to whoever waits for an answer.
    drop(tokio::spawn(async move {
        let _ = connection.await;
    }));
    Ok((client, place))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_place_has_no_password() {
        assert_eq!(
            place("postgres://ada:secret@db.internal:6432/posthog?connect_timeout=3"),
            "db.internal:6432, database posthog"
        );
        assert_eq!(
            place("postgres://ada:secret@db/posthog?sslmode=verify-full&sslrootcert=/etc/authority.pem"),
            "db:5432, database posthog"
        );
        assert_eq!(place("postgres://ada:secret@db:port/x"), "an unreadable URL");
        assert_eq!(place("postgres://ada@db"), "db:5432, database ada");
    }
}
