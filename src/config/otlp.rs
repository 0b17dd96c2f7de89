//! Settings of OpenTelemetry, in the forms that its specification gives them.

use std::fmt;

use super::parse::{Expected, log_level};
use super::{LogLevel, Secret};

/// How traces travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Nothing is said: by the endpoint's port.
    ByPort,
    /// gRPC.
    Grpc,
    /// Protobuf in an HTTP POST.
    Http,
}

/// Pairs of a name and a value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Pairs {
    /// Without values: they may be credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Where a collector is; the empty text means that there is none. Without a scheme it is `http`.
///
/// # Errors
/// On another scheme, credentials, or what cannot be in a URL.
pub fn optional_endpoint(value: &str) -> Result<Option<String>, Expected> {
    let value = value.trim();
    if value.is_empty() {
        return Ok(None);
    }
    let url = if value.contains("://") {
        value.to_owned()
    } else {
        format!("http://{value}")
    };
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let usable = authority.is_some_and(|authority| !authority.is_empty() && !authority.contains('@'))
        && url.bytes().all(|byte| byte.is_ascii_graphic());
    if usable {
        Ok(Some(url))
    } else {
        Err("http://host:port or https://host:port, credentials in OTEL_EXPORTER_OTLP_HEADERS".into())
    }
}

/// `grpc` or `http/protobuf`; the empty text leaves it to the port.
///
/// # Errors
/// On any other word, `http/json` among them.
pub fn protocol(value: &str) -> Result<OtlpProtocol, Expected> {
    match value.trim() {
        "" => Ok(OtlpProtocol::ByPort),
        "grpc" => Ok(OtlpProtocol::Grpc),
        "http/protobuf" => Ok(OtlpProtocol::Http),
        _ => Err("grpc or http/protobuf".into()),
    }
}

/// `name=value`, several separated by commas; values are percent-encoded (W3C Baggage, without properties).
///
/// # Errors
/// On an entry without a name or an equals sign, or a value that is no text.
pub fn pairs(value: &str) -> Result<Pairs, Expected> {
    let expected = || Expected::from("name=value,name=value with percent-encoded values");
    let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let pairs = entries.map(|entry| {
        let (name, value) = entry.split_once('=').ok_or_else(expected)?;
        let (name, value) = (name.trim(), decoded(value.trim()).ok_or_else(expected)?);
        if name.is_empty() {
            return Err(expected());
        }
        Ok((name.to_owned(), value))
    });
    pairs.collect::<Result<_, _>>().map(Pairs)
}

/// Headers of HTTP in the same form, of which no word is shown.
///
/// # Errors
/// As [`pairs`], and on what cannot be a header.
pub fn secret_pairs(value: &str) -> Result<Option<Secret>, Expected> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let fits = |(name, value): (&str, &str)| {
        name.bytes().all(token) && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
    };
    if !pairs(value)?.iter().all(fits) {
        return Err("names and values of HTTP headers".into());
    }
    Ok((!value.trim().is_empty()).then(|| Secret::new(value)))
}

/// The level of spans that are wanted; `trace` is accepted, too.
///
/// # Errors
/// On an unknown word.
pub fn span_level(value: &str) -> Result<LogLevel, Expected> {
    if value.trim().eq_ignore_ascii_case("trace") {
        return Ok(LogLevel::Debug);
    }
    log_level(value)
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_without_credentials() {
        for (text, expected) in [
            ("", None),
            ("http://otel:4317", Some("http://otel:4317")),
            (" https://otel.example/base/ ", Some("https://otel.example/base/")),
            ("otel:4317", Some("http://otel:4317")),
        ] {
            assert_eq!(optional_endpoint(text).unwrap().as_deref(), expected);
        }
        for text in [
            "ftp://otel",
            "http://",
            "http:///v1",
            "http://a b",
            "http://user:word@otel:4317",
            "unix:///a",
        ] {
            assert!(optional_endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn protocols_are_those_that_can_be_spoken() {
        assert_eq!(protocol(""), Ok(OtlpProtocol::ByPort));
        assert_eq!(protocol("grpc"), Ok(OtlpProtocol::Grpc));
        assert_eq!(protocol("http/protobuf"), Ok(OtlpProtocol::Http));
        assert!(protocol("http/json").is_err());
    }

    #[test]
    fn pairs_are_decoded_and_never_shown() {
        let read = pairs("api-key = a%20b%3D%2c,, x=1=2 ").unwrap();
        assert_eq!(
            read.iter().collect::<Vec<_>>(),
            [("api-key", "a b=,"), ("x", "1=2")]
        );
        assert_eq!(format!("{read:?}"), r#"["api-key", "x"]"#);
        assert_eq!(pairs(""), Ok(Pairs::default()));
        for bad in ["a", "=b", "a=%4", "a=%zz", "a=%ff"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
        assert_eq!(secret_pairs(" "), Ok(None));
        assert!(secret_pairs("a:b=c").is_err() && secret_pairs("a=%0a").is_err());
        assert_eq!(secret_pairs("a=b").unwrap().unwrap().expose(), "a=b");
    }

    #[test]
    fn levels_of_spans_know_trace() {
        assert_eq!(span_level("TRACE"), Ok(LogLevel::Debug));
        assert_eq!(span_level("off"), Ok(LogLevel::Off));
        assert!(span_level("loud").is_err());
    }
}
