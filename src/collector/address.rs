//! Where a collector is, and how it is spoken to.

use std::fmt;

use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{HeaderMap, Uri};

use super::{grpc, http};

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A unary call of gRPC, over HTTP/2.
    Grpc,
    /// A POST with a protobuf body, over HTTP/1.1.
    Http,
}

impl Protocol {
    /// As `OTEL_EXPORTER_OTLP_PROTOCOL` names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http/protobuf",
        }
    }
}

/// Port of OTLP over HTTP (OTLP specification); gRPC's is 4317.
const HTTP_PORT: u16 = 4318;
const GRPC_PORT: u16 = 4317;

/// Why there is no such collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// Not a URL with a host.
    Url,
    /// This header cannot be sent; its value is not repeated.
    Header(String),
}

impl fmt::Display for AddressError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => formatter.write_str("not a URL of a collector"),
            Self::Header(name) => write!(formatter, "header {name} cannot be sent"),
        }
    }
}

impl std::error::Error for AddressError {}

/// A collector's place.
#[derive(Debug, Clone)]
pub struct Address {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Whether TLS is spoken below that.
    pub tls: bool,
    /// Name or address, without the brackets of IPv6.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Where messages are sent to.
    pub(super) target: Uri,
    /// Sent with each.
    pub(super) headers: HeaderMap,
    /// For people.
    shown: String,
}

impl Address {
    /// Reads the URL of `OTEL_EXPORTER_OTLP_ENDPOINT`: the base below which each signal has its path. `protocol`: `None` leaves
    /// it to the port.
    ///
    /// # Errors
    /// When the URL has no host or another scheme, or a header cannot be sent.
    pub fn new<'h>(
        url: &str,
        protocol: Option<Protocol>,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
    ) -> Result<Self, AddressError> {
        let base: Uri = url.parse().map_err(|_| AddressError::Url)?;
        let tls = match base.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(AddressError::Url),
        };
        let host = base
            .host()
            .filter(|host| !host.is_empty())
            .ok_or(AddressError::Url)?;
        let protocol = protocol.unwrap_or(match base.port_u16() {
            Some(HTTP_PORT) => Protocol::Http,
            _ => Protocol::Grpc,
        });
        let port = base.port_u16().unwrap_or(match (tls, protocol) {
            (true, _) => 443,
            (false, Protocol::Grpc) => GRPC_PORT,
            (false, Protocol::Http) => HTTP_PORT,
        });
        let base_path = base.path().trim_end_matches('/');
        let path = match protocol {
            Protocol::Grpc => grpc::PATH.to_owned(),
            Protocol::Http => format!("{base_path}{}", http::PATH),
        };
        let mut target = base.clone().into_parts();
        target.authority = Some(
            format!("{host}:{port}")
                .parse::<Authority>()
                .map_err(|_| AddressError::Url)?,
        );
        target.path_and_query = Some(path.parse::<PathAndQuery>().map_err(|_| AddressError::Url)?);
        Ok(Self {
            protocol,
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            target: Uri::from_parts(target).map_err(|_| AddressError::Url)?,
            headers: header_map(headers)?,
            shown: format!("{}://{host}:{port}", if tls { "https" } else { "http" }),
        })
    }
}

fn header_map<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> Result<HeaderMap, AddressError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let refused = || AddressError::Header(name.to_owned());
        let key = hyper::header::HeaderName::try_from(name).map_err(|_| refused())?;
        let mut value = hyper::header::HeaderValue::try_from(value).map_err(|_| refused())?;
        value.set_sensitive(true);
        map.append(key, value);
    }
    Ok(map)
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, protocol: Option<Protocol>) -> Result<(Protocol, String, String), AddressError> {
        let address = Address::new(url, protocol, std::iter::empty())?;
        Ok((address.protocol, address.target.to_string(), address.to_string()))
    }

    #[test]
    fn the_port_says_what_nobody_said() {
        use Protocol::{Grpc, Http};
        let call = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        for (url, said, protocol, target, shown) in [
            (
                "http://otel:4317",
                None,
                Grpc,
                format!("http://otel:4317{call}"),
                "http://otel:4317",
            ),
            (
                "http://otel:4318/",
                None,
                Http,
                "http://otel:4318/v1/traces".into(),
                "http://otel:4318",
            ),
            (
                "http://otel",
                None,
                Grpc,
                format!("http://otel:4317{call}"),
                "http://otel:4317",
            ),
            (
                "http://otel",
                Some(Http),
                Http,
                "http://otel:4318/v1/traces".into(),
                "http://otel:4318",
            ),
            (
                "https://o/a/b/",
                Some(Http),
                Http,
                "https://o:443/a/b/v1/traces".into(),
                "https://o:443",
            ),
            (
                "http://[::1]:4318",
                Some(Grpc),
                Grpc,
                format!("http://[::1]:4318{call}"),
                "http://[::1]:4318",
            ),
        ] {
            assert_eq!(read(url, said), Ok((protocol, target, shown.to_owned())), "{url}");
        }
        assert_eq!(
            Address::new("http://[::1]", None, std::iter::empty())
                .unwrap()
                .host,
            "::1"
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused_without_its_value() {
        for url in ["", "otel", "ftp://otel", "http://", "/v1"] {
            assert_eq!(read(url, None), Err(AddressError::Url), "{url}");
        }
        let error = Address::new("http://o", None, [("a b", "secret")].into_iter()).unwrap_err();
        assert_eq!(error.to_string(), "header a b cannot be sent");
        let address = Address::new("http://o", None, [("api-key", "hunter2")].into_iter()).unwrap();
        assert!(!format!("{address:?}").contains("hunter2"));
    }
}
