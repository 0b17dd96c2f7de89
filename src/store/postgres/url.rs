//! Connection URLs, with libpq's meaning of `sslmode` and `sslrootcert`.
//!
//! The client library knows only three modes and no certificate file, so both parameters are taken out of the URL before
//! it reads the rest.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How much a connection must prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain.
    Disable,
    /// TLS with any certificate where the server offers it, plain otherwise. Also libpq's `allow`, which asks in the
    /// other order.
    Prefer,
    /// TLS with any certificate.
    Require,
    /// TLS with a certificate that a known authority has signed, for whatever host.
    VerifyCa,
    /// TLS with a certificate that a known authority has signed for this host.
    VerifyFull,
}

/// A parsed URL.
#[derive(Debug, Clone)]
pub struct PostgresUrl {
    /// Everything but TLS; its debug form hides the password.
    pub(super) config: Config,
    mode: TlsMode,
    roots: Option<PathBuf>,
}

/// Why a URL cannot be used. Never holds the URL, which has a password in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlError {
    /// `sslmode` is none of libpq's.
    Mode(String),
    /// The rest is unreadable.
    Syntax(String),
}

impl fmt::Display for UrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mode(mode) => write!(formatter, "unknown sslmode {mode:?}"),
            Self::Syntax(detail) => write!(formatter, "unreadable database URL: {detail}"),
        }
    }
}

impl std::error::Error for UrlError {}

impl PostgresUrl {
    /// Reads `postgres://` and `postgresql://` URLs.
    ///
    /// # Errors
    /// When the URL is malformed, or has a parameter that is not understood.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(UrlError::Syntax("it must start with postgres://".to_owned()));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut rest) = (None, None, String::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "sslmode" => mode = Some(tls_mode(value)?),
                "sslrootcert" => roots = Some(PathBuf::from(percent_decoded(value)?)),
                _ => {
                    rest.push(if rest.is_empty() { '?' } else { '&' });
                    rest.push_str(parameter);
                }
            }
        }
        let mut config =
            Config::from_str(&format!("{base}{rest}")).map_err(|error| UrlError::Syntax(detail(&error)))?;
        let mut mode = mode.unwrap_or(TlsMode::Prefer);
        if mode == TlsMode::Require && roots.is_some() {
            // libpq: naming an authority asks for it to be checked.
            mode = TlsMode::VerifyCa;
        }
        config.ssl_mode(match mode {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        });
        Ok(Self { config, mode, roots })
    }

    /// Hosts, ports and database, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        let ports = self.config.get_ports();
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(at, host)| {
                let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
                match host {
                    Host::Tcp(name) => format!("{name}:{port}"),
                    Host::Unix(path) => format!("{}:{port}", path.display()),
                }
            })
            .collect();
        let database = self
            .config
            .get_dbname()
            .or(self.config.get_user())
            .unwrap_or_default();
        format!("{}/{database}", hosts.join(","))
    }

    /// What is asked of the server's certificate.
    #[must_use]
    pub fn tls_mode(&self) -> TlsMode {
        self.mode
    }

    /// File of the authorities' certificates; `None` (also for libpq's `system`): those of the machine.
    #[must_use]
    pub fn roots(&self) -> Option<&PathBuf> {
        self.roots.as_ref().filter(|path| path.as_os_str() != "system")
    }
}

fn tls_mode(value: &str) -> Result<TlsMode, UrlError> {
    Ok(match value {
        "disable" => TlsMode::Disable,
        "allow" | "prefer" => TlsMode::Prefer,
        "require" => TlsMode::Require,
        "verify-ca" => TlsMode::VerifyCa,
        "verify-full" => TlsMode::VerifyFull,
        _ => return Err(UrlError::Mode(value.to_owned())),
    })
}

/// The library's message with its cause, which alone names the parameter.
fn detail(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn percent_decoded(value: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = digits else {
            return Err(UrlError::Syntax("sslrootcert has a broken escape".to_owned()));
        };
        bytes.push(byte);
        rest = after.get(2..).unwrap_or_default();
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Syntax("sslrootcert is no UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_libpq() {
        let cases = [
            ("", TlsMode::Prefer),
            ("?sslmode=disable", TlsMode::Disable),
            ("?sslmode=allow", TlsMode::Prefer),
            ("?sslmode=prefer", TlsMode::Prefer),
            ("?application_name=x&sslmode=require", TlsMode::Require),
            ("?sslmode=require&sslrootcert=/ca.pem", TlsMode::VerifyCa),
            ("?sslmode=verify-ca&connect_timeout=3", TlsMode::VerifyCa),
            ("?sslmode=verify-full", TlsMode::VerifyFull),
        ];
        for (query, mode) in cases {
            let url = PostgresUrl::parse(&format!("postgres://u:p@host:1/db{query}")).expect(query);
            assert_eq!(url.tls_mode(), mode, "{query}");
        }
    }

    #[test]
    fn other_parameters_stay() {
        let text =
            "postgresql://u@h/db?sslrootcert=%2Fa%20b.pem&options=-c%20work_mem%3D8MB&application_name=flags";
        let url = PostgresUrl::parse(text).expect("a URL");
        assert_eq!(url.roots(), Some(&PathBuf::from("/a b.pem")));
        assert_eq!(url.config.get_options(), Some("-c work_mem=8MB"));
        assert_eq!(url.config.get_application_name(), Some("flags"));
        let system = PostgresUrl::parse("postgres://u@h/db?sslmode=verify-full&sslrootcert=system");
        assert_eq!(system.expect("a URL").roots(), None);
    }

    #[test]
    fn what_is_not_understood_is_refused_without_the_password() {
        for url in [
            "mysql://u:hunter2@h/db",
            "postgres://u:hunter2@h/db?sslmode=perhaps",
            "postgres://u:hunter2@h/db?sslcrl=/x",
            "postgres://u:hunter2@h:port/db",
            "postgres://u:hunter2@h/db?sslrootcert=%G1",
            "postgres://u:hunter2@h/db?sslrootcert=%",
        ] {
            let error = PostgresUrl::parse(url).expect_err(url);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
