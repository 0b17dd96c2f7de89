//! Pure parsers: text to value, or the form that was expected. Start-up only.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{LogLevel, Redaction, Secret, ServiceMode};

/// The accepted form, as it completes the sentence "expected ...".
pub type Expected = Cow<'static, str>;

/// Any text, the empty one included.
///
/// # Errors
/// Never.
pub fn text(value: &str) -> Result<String, Expected> {
    Ok(value.to_owned())
}

/// Text; the empty one means "not set".
///
/// # Errors
/// Never.
pub fn optional_text(value: &str) -> Result<Option<String>, Expected> {
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

/// A URL without credentials, which its user would repeat in messages; the empty text means "not set".
///
/// # Errors
/// With a user, a query or a fragment, or what cannot be in a URL.
pub fn optional_place(value: &str) -> Result<Option<String>, Expected> {
    let usable = value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"@?#".contains(&byte));
    if usable {
        optional_text(value)
    } else {
        Err("http://host:port or https://host:port, credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into())
    }
}

/// A path; the empty one means "no file".
///
/// # Errors
/// Never.
pub fn optional_path(value: &str) -> Result<Option<PathBuf>, Expected> {
    Ok((!value.is_empty()).then(|| PathBuf::from(value)))
}

/// Trimmed, letter case ignored: `true 1 yes on`, `false 0 no off` or empty (`http.md` 16, "flexible").
///
/// # Errors
/// On any other text.
pub fn boolean(value: &str) -> Result<bool, Expected> {
    const TRUE: [&str; 4] = ["true", "1", "yes", "on"];
    const FALSE: [&str; 5] = ["false", "0", "no", "off", ""];
    let value = value.trim();
    if TRUE.iter().any(|word| value.eq_ignore_ascii_case(word)) {
        Ok(true)
    } else if FALSE.iter().any(|word| value.eq_ignore_ascii_case(word)) {
        Ok(false)
    } else {
        Err("true, 1, yes, on, false, 0, no or off".into())
    }
}

/// A number within bounds, both included.
pub fn between<T>(least: T, most: T) -> impl FnOnce(&str) -> Result<T, Expected>
where
    T: FromStr + PartialOrd + Display + Copy,
{
    move |value| match value.trim().parse::<T>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(format!("a number from {least} to {most}").into()),
    }
}

/// A finite number above zero.
///
/// # Errors
/// When the text is no such number.
pub fn positive(value: &str) -> Result<f64, Expected> {
    match value.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0".into()),
    }
}

/// Milliseconds within bounds, both included.
pub fn milliseconds(least: u64, most: u64) -> impl FnOnce(&str) -> Result<Duration, Expected> {
    move |value| {
        between(least, most)(value)
            .map(Duration::from_millis)
            .map_err(|_| format!("milliseconds from {least} to {most}").into())
    }
}

/// Seconds within bounds, both included.
pub fn seconds(least: u64, most: u64) -> impl FnOnce(&str) -> Result<Duration, Expected> {
    move |value| {
        between(least, most)(value)
            .map(Duration::from_secs)
            .map_err(|_| format!("seconds from {least} to {most}").into())
    }
}

/// Milliseconds up to a bound; 0 means "no limit".
pub fn optional_milliseconds(most: u64) -> impl FnOnce(&str) -> Result<Option<Duration>, Expected> {
    move |value| {
        let limit = between(0, most)(value)
            .map_err(|_| Expected::from(format!("milliseconds from 1 to {most}, or 0 for no limit")))?;
        Ok((limit > 0).then(|| Duration::from_millis(limit)))
    }
}

/// Seconds up to a bound; 0 means "never".
pub fn optional_seconds(most: u64) -> impl FnOnce(&str) -> Result<Option<Duration>, Expected> {
    move |value| {
        let limit = between(0, most)(value)
            .map_err(|_| Expected::from(format!("seconds from 1 to {most}, or 0 for never")))?;
        Ok((limit > 0).then(|| Duration::from_secs(limit)))
    }
}

/// An address and port to listen on.
///
/// # Errors
/// When the text is no such pair; names are not resolved.
pub fn socket_address(value: &str) -> Result<SocketAddr, Expected> {
    value
        .trim()
        .parse()
        .map_err(|_| "an IP address and port, such as 127.0.0.1:3001 or [::]:3001".into())
}

/// A PostgreSQL URL.
///
/// # Errors
/// When the scheme is another one.
pub fn postgres_url(value: &str) -> Result<Secret, Expected> {
    url(
        value,
        &["postgres://", "postgresql://"],
        "a URL that starts with postgres://",
    )
}

/// A PostgreSQL URL; the empty text means "use the main database".
///
/// # Errors
/// When the scheme is another one.
pub fn optional_postgres_url(value: &str) -> Result<Option<Secret>, Expected> {
    if value.is_empty() {
        Ok(None)
    } else {
        postgres_url(value).map(Some)
    }
}

/// A Redis URL.
///
/// # Errors
/// When the scheme is another one.
pub fn redis_url(value: &str) -> Result<Secret, Expected> {
    url(
        value,
        &["redis://", "rediss://"],
        "a URL that starts with redis:// or rediss://",
    )
}

/// A Redis URL; the empty text means "not set".
///
/// # Errors
/// When the scheme is another one.
pub fn optional_redis_url(value: &str) -> Result<Option<Secret>, Expected> {
    if value.is_empty() {
        Ok(None)
    } else {
        redis_url(value).map(Some)
    }
}

fn url(value: &str, schemes: &[&str], expected: &'static str) -> Result<Secret, Expected> {
    let rest = schemes.iter().find_map(|scheme| value.strip_prefix(scheme));
    if rest.is_some_and(|rest| !rest.is_empty()) {
        Ok(Secret::new(value))
    } else {
        Err(expected.into())
    }
}

/// The least that is logged; `warning` is accepted, too.
///
/// # Errors
/// On an unknown word.
pub fn log_level(value: &str) -> Result<LogLevel, Expected> {
    match value.trim().to_ascii_lowercase().as_str() {
        "off" => Ok(LogLevel::Off),
        "error" => Ok(LogLevel::Error),
        "warn" | "warning" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        _ => Err("error, warn, info, debug or off".into()),
    }
}

/// What a recording hides.
///
/// # Errors
/// On an unknown word.
pub fn redaction(value: &str) -> Result<Redaction, Expected> {
    [
        Redaction::None,
        Redaction::Tokens,
        Redaction::Unused,
        Redaction::All,
    ]
    .into_iter()
    .find(|redaction| value.trim() == redaction.name())
    .ok_or_else(|| "none, tokens, unused or all".into())
}

/// A key that nobody can guess; the empty text means "not set".
///
/// # Errors
/// When it is short.
pub fn optional_secret(value: &str) -> Result<Option<Secret>, Expected> {
    const BYTES_MIN: usize = 16;
    match value.len() {
        0 => Ok(None),
        BYTES_MIN.. => Ok(Some(Secret::new(value))),
        _ => Err("at least 16 bytes".into()),
    }
}

/// Which routes are served.
///
/// # Errors
/// On an unknown word.
pub fn service_mode(value: &str) -> Result<ServiceMode, Expected> {
    match value.trim() {
        "all" => Ok(ServiceMode::All),
        "flags" => Ok(ServiceMode::Flags),
        "definitions" => Ok(ServiceMode::Definitions),
        _ => Err("all, flags or definitions".into()),
    }
}
