//! Form bodies: `data=<base64 of JSON>` (`http.md` 5.5).

use std::ops::Range;

use simd_json::Tape;

use super::super::json5::Dialect;
use super::super::query::Compression;
use super::super::scratch::Attempt;
use super::super::{base64, percent};
use super::attempt::{self, Source};
use super::fields::Fields;
use super::{DecodeError, Kludges, Parser, Workspace};

/// Reads a request from a form body. What upstream refuses gets a second, more tolerant reading; if
/// that fails too, the answer is upstream's.
pub(super) fn read<'a>(
    work: Workspace<'a, '_>,
    body: &[u8],
    compression: Option<Compression>,
    tape: &mut Tape<'a>,
) -> Result<Fields, DecodeError> {
    let Workspace {
        parser,
        plain,
        unwrapped,
        text,
        kludges,
    } = work;
    let base64_text = unpack(body, compression, text, kludges).and_then(|()| {
        let source = Source::Base64(text);
        attempt::read(parser, plain, source, Dialect::Strict, tape, kludges)?
            .ok_or(DecodeError::FormInvalidJson)
    });
    base64_text.or_else(|error| {
        let compression_refused = matches!(error, DecodeError::FormGzip | DecodeError::Compression);
        if compression_refused {
            return Err(error);
        }
        read_tolerantly(parser, unwrapped, text, body, tape, kludges).ok_or(error)
    })
}

/// Fills `text` with the base64 of the form, as upstream takes it out.
fn unpack(
    body: &[u8],
    compression: Option<Compression>,
    text: &mut Vec<u8>,
    kludges: &mut Kludges,
) -> Result<(), DecodeError> {
    std::str::from_utf8(body).map_err(|_| DecodeError::FormNotUtf8)?;
    text.clear();
    text.extend_from_slice(body);
    percent::decode_in_place(text);
    std::str::from_utf8(text).map_err(|_| DecodeError::FormNotUrlEncoded)?;
    let Range { start, end } = data(text).unwrap_or_else(|| {
        kludges.missing_data_prefix = true;
        0..text.len()
    });
    text.truncate(end);
    text.drain(..start);
    kludges.padding_needed = base64::tidy(text);
    match compression {
        Some(Compression::Gzip) => return Err(DecodeError::FormGzip),
        Some(Compression::Unsupported) => return Err(DecodeError::Compression),
        Some(Compression::Base64) | None => {}
    }
    percent::decode_in_place(text);
    std::str::from_utf8(text).map_err(|_| DecodeError::FormNotUrlEncoded)?;
    Ok(())
}

/// Where the value of a leading `data=` stands: up to the next `=`, so without its padding.
fn data(text: &[u8]) -> Option<Range<usize>> {
    const PREFIX: &[u8] = b"data=";
    let value = text.strip_prefix(PREFIX)?;
    let length = memchr::memchr(b'=', value).unwrap_or(value.len());
    Some(PREFIX.len()..PREFIX.len() + length)
}

/// What base64 of gzip with deflate inside starts with.
const GZIP_IN_BASE64: &[u8] = b"H4sI";

/// Our additions: `data=` among other pairs, plain JSON in it, gzip below the base64.
#[cold]
fn read_tolerantly<'a>(
    parser: &mut Parser,
    attempt: &'a mut Attempt,
    text: &mut Vec<u8>,
    body: &[u8],
    tape: &mut Tape<'a>,
    kludges: &mut Kludges,
) -> Option<Fields> {
    let value = body
        .split(|byte| *byte == b'&')
        .find_map(|pair| pair.strip_prefix(b"data="))
        .unwrap_or(body);
    text.clear();
    text.extend_from_slice(value);
    // A form encoder writes blanks of JSON as `+`. JSON with bare quotes was not encoded.
    if value.starts_with(b"%7") && !value.contains(&b'"') {
        text.iter_mut()
            .filter(|byte| **byte == b'+')
            .for_each(|byte| *byte = b' ');
    }
    percent::decode_in_place(text);
    let content;
    let source = if text.trim_ascii_start().starts_with(b"{") {
        Source::Plain(text)
    } else {
        base64::tidy(text);
        if text.starts_with(GZIP_IN_BASE64) {
            content = base64_simd::STANDARD.decode_to_vec(&*text).ok()?;
            Source::Gzip(&content)
        } else {
            Source::Base64(text)
        }
    };
    attempt::read(parser, attempt, source, Dialect::Strict, tape, kludges).ok()?
}
