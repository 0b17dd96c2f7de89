//! What of a request may stand in the file.
//!
//! A redacted body is written anew from the fields that mean something (`http.md` 6.1), under their first names; fields that no answer depends on are left
//! out. The encoding in which it came is kept as a word, so that `replay` sends gzip where gzip came.

mod body;
mod found;
mod head;

use super::{Captured, KeyedHash, Teams};
use crate::config::Redaction;
use crate::recording::{End, Entry, Wrapping};
use crate::wire::query::FlagsQuery;
use crate::wire::scratch::DecodeScratch;
use crate::wire::{BodyFormat, Kludges, decode};

use self::body::BodyWriter;
use self::found::Found;

/// Makes entries of requests, and remembers what it kept and changed.
pub(super) struct Redactor {
    redaction: Redaction,
    hash: KeyedHash,
    teams: Box<dyn Teams>,
    scratch: DecodeScratch,
    found: Found,
}

impl Redactor {
    pub fn new(redaction: Redaction, hash: KeyedHash, teams: Box<dyn Teams>) -> Self {
        Self {
            redaction,
            hash,
            teams,
            scratch: DecodeScratch::new(),
            found: Found::default(),
        }
    }

    /// The entry of a request, its time apart. `None`: it cannot be decoded, so that nothing is known of what is in it.
    pub fn entry(&mut self, captured: &Captured) -> Option<Entry> {
        let redacts = self.redaction != Redaction::None;
        let mut entry = Entry {
            method: "POST".to_owned(),
            path: captured.path.to_string(),
            query: captured.query.as_deref().map(|query| {
                if redacts {
                    head::query(query, &self.hash)
                } else {
                    query.to_owned()
                }
            }),
            headers: head::headers(captured, redacts, &self.hash),
            client: captured.client,
            ..Entry::default()
        };
        if !redacts {
            entry.set_body(&captured.body);
            return Some(entry);
        }
        let (body, wrapping) = self.body(captured)?;
        entry.body = Some(body);
        entry.wrapping = Some(wrapping);
        Some(entry)
    }

    /// Says what was kept and changed.
    pub fn describe(&self, end: &mut End) {
        self.found.describe(end);
    }

    fn body(&mut self, captured: &Captured) -> Option<(String, Wrapping)> {
        let query = FlagsQuery::parse(captured.query.as_deref()).ok()?;
        let header = |wanted: &str| {
            let mut headers = captured.headers.iter();
            headers
                .find(|(name, _)| **name == *wanted)
                .map(|(_, value)| &**value)
        };
        let format = BodyFormat {
            content_type: header("content-type"),
            content_encoding: header("content-encoding"),
            compression: query.compression,
        };
        let mut kludges = Kludges::default();
        let decoded = decode(&mut self.scratch, &captured.body, format, &mut kludges).ok()?;
        let request = decoded.request();
        // Where the token comes from if the body has none (`http.md` 7.1).
        let elsewhere = || {
            query
                .token
                .as_deref()
                .or_else(|| header("x-posthog-project-api-key"))
        };
        let token = request.token.filter(|token| !token.is_empty()).or_else(elsewhere);
        let team = token.and_then(|token| self.teams.held(token));
        let mut writer = BodyWriter {
            redaction: self.redaction,
            hash: &self.hash,
            team: team.as_deref(),
            found: &mut self.found,
        };
        let body = writer.write(&request);
        drop(decoded);
        self.scratch.shrink_to_cap();
        Some((body, wrapping(&captured.body, format, kludges)))
    }
}

/// How the body came.
fn wrapping(body: &[u8], format: BodyFormat<'_>, kludges: Kludges) -> Wrapping {
    use crate::wire::query::Compression;
    const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
    let contains =
        |text: Option<&str>, part: &str| text.is_some_and(|text| text.to_ascii_lowercase().contains(part));
    if contains(format.content_type, "application/x-www-form-urlencoded") {
        Wrapping::Form
    } else if format.compression == Some(Compression::Gzip)
        || contains(format.content_encoding, "gzip")
        || body.starts_with(GZIP_MAGIC)
    {
        Wrapping::Gzip
    } else if kludges.base64_fallback_success {
        Wrapping::Base64
    } else {
        Wrapping::Plain
    }
}
