//! The site that a request comes from, without what changes between its pages (`storage.md` 6.7 step 4).
//!
//! Reads as much of a URL as that needs.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Registrable domain of an origin, with its port unless that is the scheme's own. Addresses stay as they are.
///
/// # Errors
/// With the reason why the origin is no URL.
pub fn root_domain(origin: &str) -> Result<String, &'static str> {
    if origin.is_empty() {
        return Ok(String::new());
    }
    if let Ok(address) = origin.parse::<Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    let (scheme, rest) = origin.split_once("://").unwrap_or(("http", origin));
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']').ok_or("invalid IPv6 address")?;
            let address: Ipv6Addr = address.parse().map_err(|_| "invalid IPv6 address")?;
            let port = match rest {
                "" => "",
                rest => rest.strip_prefix(':').ok_or("invalid port number")?,
            };
            (Cow::Owned(format!("[{address}]")), port)
        }
        None => {
            let (host, port) = place.split_once(':').unwrap_or((place, ""));
            (registrable(host)?, port)
        }
    };
    if port.is_empty() {
        return Ok(host.into_owned());
    }
    if !port.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err("invalid port number");
    }
    let port: u16 = port.parse().map_err(|_| "invalid port number")?;
    if Some(port) == default_port(scheme) {
        Ok(host.into_owned())
    } else {
        Ok(format!("{host}:{port}"))
    }
}

fn registrable(host: &str) -> Result<Cow<'static, str>, &'static str> {
    if host.is_empty() {
        return Err("empty host");
    }
    let forbidden = |byte: u8| byte <= b' ' || byte == 0x7f || b"<>[]^|%".contains(&byte);
    if host.bytes().any(forbidden) {
        return Err("invalid domain character");
    }
    let host = host.to_ascii_lowercase();
    if host == "localhost" {
        return Ok(Cow::Borrowed("127.0.0.1"));
    }
    if host.parse::<Ipv4Addr>().is_ok() {
        return Ok(Cow::Owned(host));
    }
    let domain = psl::domain_str(&host).map(str::to_owned);
    Ok(Cow::Owned(domain.unwrap_or(host)))
}

/// Ports that are not written out, by scheme.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "ftp" => Some(21),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_domains_are_those_of_the_specification() {
        for (origin, expected) in [
            ("https://test.example.co.uk/foo", "example.co.uk"),
            ("sub.example.com", "example.com"),
            ("http://example.com:8000", "example.com:8000"),
            ("https://user:pass@example.com", "example.com"),
            ("localhost", "127.0.0.1"),
            ("http://localhost:3000", "127.0.0.1:3000"),
            ("1.2.3.4:5000", "1.2.3.4:5000"),
            ("::1", "[::1]"),
            ("[::1]", "[::1]"),
            (
                "[2001:0db8:85a3::8a2e:0370:7334]:8080",
                "[2001:db8:85a3::8a2e:370:7334]:8080",
            ),
            ("", ""),
        ] {
            assert_eq!(root_domain(origin).as_deref(), Ok(expected), "{origin}");
        }
    }

    #[test]
    fn ports_of_the_scheme_are_left_out() {
        for (origin, expected) in [
            ("https://app.example.com:443", "example.com"),
            ("http://app.example.com:443", "example.com:443"),
            ("example.com:80", "example.com"),
            ("HTTPS://APP.Example.COM:443/Path?q#f", "example.com"),
            ("capacitor://localhost", "127.0.0.1"),
            ("null", "null"),
        ] {
            assert_eq!(root_domain(origin).as_deref(), Ok(expected), "{origin}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for origin in [
            "https://",
            "http://:80",
            "a b",
            "http://[::1",
            "http://[::x]",
            "http://x:y",
            "http://x:99999",
            "http://[::1]x",
        ] {
            assert!(root_domain(origin).is_err(), "{origin}");
        }
    }
}
