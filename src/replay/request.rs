//! A request as it is sent to both servers.

use std::fmt;

use super::tokens::{TokenError, Tokens};
use crate::recording::{Entry, Wrapping};

/// Headers that belong to a connection; a recording has none, but a file can be made by anybody.
const NOT_SENT: [&str; 8] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// One request; tokens are still hashed where they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Such as `POST`.
    pub method: String,
    /// Path, and query if there is one.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Before it is encoded.
    pub body: Vec<u8>,
    /// How it is encoded; `None`: not at all, it is sent as it was received.
    pub wrapping: Option<Wrapping>,
}

/// Why a line is no request that can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// Method or path cannot be sent.
    Head,
    /// The body is in no form that can be sent.
    Body,
    /// A project token is a hash, and nothing says whose.
    Token,
}

impl fmt::Display for RequestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Head => "method or path cannot be sent",
            Self::Body => "the body cannot be sent",
            Self::Token => "its project token is a hash that no --token names",
        })
    }
}

impl std::error::Error for RequestError {}

impl From<TokenError> for RequestError {
    fn from(_: TokenError) -> Self {
        Self::Token
    }
}

impl Request {
    /// The request of an entry.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn of_entry(entry: Entry) -> Result<Self, RequestError> {
        let target = match &entry.query {
            Some(query) => format!("{}?{query}", entry.path),
            None => entry.path.clone(),
        };
        let (body, wrapping) = match (entry.wrapping, &entry.body) {
            (Some(wrapping), Some(text)) => (text.as_bytes().to_vec(), Some(wrapping)),
            (Some(_), None) => return Err(RequestError::Body),
            (None, _) => (entry.wire_body().ok_or(RequestError::Body)?, None),
        };
        let mut headers: Vec<(String, String)> = entry.headers.into_iter().collect();
        if let Some(client) = entry.client {
            headers.push(("x-forwarded-for".to_owned(), client.to_string()));
        }
        Self {
            method: entry.method,
            target,
            headers,
            body,
            wrapping,
        }
        .checked()
    }

    /// A plain body, sent by `POST` as JSON.
    ///
    /// # Errors
    /// When `target` cannot be sent.
    pub fn of_body(body: &[u8], target: &str) -> Result<Self, RequestError> {
        Self {
            method: "POST".to_owned(),
            target: target.to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_vec(),
            wrapping: Some(Wrapping::Plain),
        }
        .checked()
    }

    fn checked(mut self) -> Result<Self, RequestError> {
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_target =
            self.target.starts_with('/') && self.target.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_word(&self.method) || !is_target {
            return Err(RequestError::Head);
        }
        let is_sent = |(name, value): &(String, String)| {
            let printable = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            let is_name = name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            !name.is_empty() && is_name && printable && !NOT_SENT.contains(&name.as_str())
        };
        self.headers.retain(is_sent);
        Ok(self)
    }

    /// The same with every hashed token replaced by the one that it stands for, body encoded: ready to be sent.
    ///
    /// # Errors
    /// When a token is not named.
    pub fn ready(&self, tokens: &Tokens) -> Result<Self, RequestError> {
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            headers.push((name.clone(), tokens.restore(value)?.into_owned()));
        }
        let body = match (self.wrapping, std::str::from_utf8(&self.body)) {
            (Some(wrapping), Ok(text)) => wrapping.wrap(tokens.restore_json(text)?.as_bytes()),
            (Some(wrapping), Err(_)) => wrapping.wrap(&self.body),
            // As it was received: nothing in it is hashed.
            (None, _) => self.body.clone(),
        };
        Ok(Self {
            method: self.method.clone(),
            target: tokens.restore_query(&self.target)?.into_owned(),
            headers,
            body,
            wrapping: None,
        })
    }
}
