//! The file that `recorder` writes and `replay` reads: newline-delimited JSON, a header, a line a request, an end.
//!
//! Decides what a line means and how large it may be. Knows neither where requests come from nor what is hidden in them. A recording
//! without an end is one whose process was killed; what is there can be replayed.

mod lines;
mod wrapping;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use lines::{LINE_BYTES_MAX, Line, LineError, Lines};
pub use wrapping::Wrapping;

/// The version of this form; a reader refuses others.
pub const FORM: u32 = 1;

/// What a hashed project token begins with; [`HASH_DIGITS`] hexadecimal digits follow.
pub const TOKEN_HASH_PREFIX: &str = "token_";

/// Hexadecimal digits of a hash: 128 bits.
pub const HASH_DIGITS: usize = 32;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORM`].
    pub recording: u32,
    /// The program that wrote it.
    pub version: String,
    /// Milliseconds since 1970.
    pub started_at_ms: u64,
    /// Share of the requests that were taken.
    pub sample_rate: f64,
    /// `none`, `tokens`, `unused`, `all`.
    pub redaction: String,
    /// Whether addresses of clients are in it.
    pub client_addresses: bool,
    /// What whoever replays or passes on the file should know.
    pub warnings: Vec<String>,
}

/// One request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the recording began.
    #[serde(default)]
    pub at_ms: u64,
    /// `POST`.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Behind `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Names in lower case; only those that matter to an answer.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Address of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// How `body` is to be encoded before it is sent; absent: it is sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapping: Option<Wrapping>,
    /// A body that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Any other, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// The last line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Why it ended: `bytes`, `time`, `stopped`, `failed`.
    pub reason: String,
    /// Requests that are in it.
    pub requests: u64,
    /// Sampled, and not in it because the writer could not keep up.
    pub dropped: u64,
    /// Sampled, and not in it because what cannot be decoded cannot be redacted.
    pub undecodable: u64,
    /// Properties whose values are in it as they were sent, because some flag looks at them.
    #[serde(default)]
    pub kept_properties: Vec<String>,
    /// Properties that some flag looks at and whose values were changed, so that answers differ from those that were given.
    #[serde(default)]
    pub changed_properties: Vec<String>,
    /// Ids that are in it as they were sent, because rollout is computed from them.
    #[serde(default)]
    pub kept_ids: Vec<String>,
    /// Ids that rollout is computed from and that were changed.
    #[serde(default)]
    pub changed_ids: Vec<String>,
}

/// The last line as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndLine {
    /// What there is to say.
    pub end: End,
}

impl Entry {
    /// Keeps a body, as text where it is text.
    pub fn set_body(&mut self, body: &[u8]) {
        match std::str::from_utf8(body) {
            Ok(text) => self.body = Some(text.to_owned()),
            Err(_) => self.body_base64 = Some(base64_simd::STANDARD.encode_to_string(body)),
        }
    }

    /// The body as it is sent. `None`: it is not in a form that can be sent.
    #[must_use]
    pub fn wire_body(&self) -> Option<Vec<u8>> {
        let plain = match (&self.body, &self.body_base64) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(encoded)) => base64_simd::STANDARD.decode_to_vec(encoded).ok()?,
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => return None,
        };
        Some(match self.wrapping {
            Some(wrapping) => wrapping.wrap(&plain),
            None => plain,
        })
    }
}

/// Where hashed tokens stand in a text.
pub fn token_hashes(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices(TOKEN_HASH_PREFIX).filter_map(|(at, prefix)| {
        let hash = text.get(at..at + prefix.len() + HASH_DIGITS)?;
        let digits = hash.get(prefix.len()..)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        digits.bytes().all(is_digit).then_some((at, hash))
    })
}

#[cfg(test)]
mod tests;
