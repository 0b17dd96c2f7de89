//! One attempt to read a request: strict parser first, tolerant reader for what it refuses.

use std::borrow::Cow;

use libdeflater::Decompressor;
use simd_json::Tape;

use super::super::base64::{self, NotBase64};
use super::super::gzip::{self, GunzipError};
use super::super::json5::Dialect;
use super::super::scratch::{Attempt, Padded, Parser};
use super::Kludges;
use super::fields::Fields;

/// Where a document comes from. Kept until the attempt is over: the strict parser writes to its
/// copy, so a second reading starts from here.
#[derive(Clone, Copy)]
pub(super) enum Source<'b> {
    Plain(&'b [u8]),
    Gzip(&'b [u8]),
    /// Tidy base64 text.
    Base64(&'b [u8]),
}

/// Why there is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceError {
    Gunzip(GunzipError),
    Base64,
}

impl From<GunzipError> for SourceError {
    fn from(error: GunzipError) -> Self {
        Self::Gunzip(error)
    }
}

impl From<NotBase64> for SourceError {
    fn from(_: NotBase64) -> Self {
        Self::Base64
    }
}

impl Source<'_> {
    /// Writes the document to the start of `out`; how many bytes it has.
    pub(super) fn write(self, out: &mut Padded, inflater: &mut Decompressor) -> Result<usize, SourceError> {
        match self {
            Self::Plain(body) => {
                out.room(body.len()).copy_from_slice(body);
                Ok(body.len())
            }
            Self::Gzip(body) => Ok(gzip::gunzip(inflater, body, out)?),
            Self::Base64(text) => Ok(base64::decode(text, out)?),
        }
    }
}

/// Reads one document into `tape` and finds the fields of a request in it. `None` when it is not
/// of the dialect or not a request.
pub(super) fn read<'a>(
    parser: &mut Parser,
    attempt: &'a mut Attempt,
    source: Source<'_>,
    dialect: Dialect,
    tape: &mut Tape<'a>,
    kludges: &mut Kludges,
) -> Result<Option<Fields>, SourceError> {
    let Attempt {
        content,
        original,
        json5,
    } = attempt;
    let length = source.write(content, &mut parser.inflater)?;
    // Nothing else can be a strict request; base64 and JSON5 comments are told apart here.
    let document = if content.content(length).trim_ascii_start().starts_with(b"{") {
        if parser.read_strict(content, length, tape)
            && let Some(fields) = Fields::find(&tape.0)
        {
            return Ok(Some(fields));
        }
        let length = source.write(original, &mut parser.inflater)?;
        original.content(length)
    } else {
        content.content(length)
    };
    // Validated first: replacing goes byte by byte, and base64 always comes this way.
    let document = std::str::from_utf8(document).map_or_else(
        |_| {
            kludges.lossy_utf8 = true;
            String::from_utf8_lossy(document)
        },
        Cow::Borrowed,
    );
    if json5.read(&document, dialect).is_err() {
        return Ok(None);
    }
    json5.fill_tape(tape);
    Ok(Fields::find(&tape.0))
}
