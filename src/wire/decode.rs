//! From a raw body to a request object (`http.md` section 5).
//!
//! The body is copied, or inflated, once into scratch memory and read there by a strict SIMD
//! parser into a tape; fields are picked off the tape by position. Whatever the strict parser
//! refuses goes to the tolerant reader, which decides alone, and then to the base64 attempt
//! (`decisions.md` 1). A request that is read strictly allocates nothing once the scratch is warm.

mod attempt;
mod error;
mod fields;
mod form;

use simd_json::Tape;

use self::attempt::Source;
pub use self::error::DecodeError;
use self::fields::Fields;
use super::json5::Dialect;
use super::query::Compression;
use super::request::FlagRequest;
use super::scratch::{Attempt, DecodeScratch, Parser};
use super::{base64, gzip};

/// What the headers and the query string say about a body.
#[derive(Debug, Clone, Copy, Default)]
pub struct BodyFormat<'h> {
    /// The whole `Content-Type` header; absent means JSON.
    pub content_type: Option<&'h str>,
    /// The whole `Content-Encoding` header.
    pub content_encoding: Option<&'h str>,
    /// The `compression` query parameter.
    pub compression: Option<Compression>,
}

/// What had to be put up with; each flag is one count of `flags_request_kludge_total`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kludges {
    /// Gzip without any announcement.
    pub auto_detected_gzip: bool,
    /// The body was base64 of a request.
    pub base64_fallback_success: bool,
    /// A form body did not start with `data=`.
    pub missing_data_prefix: bool,
    /// Base64 lacked padding.
    pub padding_needed: bool,
    /// Bytes that are not UTF-8 were replaced by U+FFFD.
    pub lossy_utf8: bool,
}

impl Kludges {
    /// The metric labels of what was met.
    pub fn labels(self) -> impl Iterator<Item = &'static str> {
        [
            (self.auto_detected_gzip, "auto_detected_gzip"),
            (self.base64_fallback_success, "base64_fallback_success"),
            (self.missing_data_prefix, "missing_data_prefix"),
            (self.padding_needed, "padding_needed"),
            (self.lossy_utf8, "lossy_utf8"),
        ]
        .into_iter()
        .filter_map(|(met, label)| met.then_some(label))
    }
}

/// A decoded body. Borrows the scratch; on drop the tape's memory goes back there.
pub struct Decoded<'a> {
    tape: Tape<'a>,
    fields: Fields,
    number: &'a str,
    home: &'a mut Tape<'static>,
}

impl Decoded<'_> {
    /// The request, borrowed from this and the scratch behind it. Cheap, but not free: keep the result.
    #[must_use]
    pub fn request(&self) -> FlagRequest<'_> {
        self.fields.request(&self.tape.0, self.number)
    }
}

impl Drop for Decoded<'_> {
    fn drop(&mut self) {
        *self.home = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
    }
}

/// Decodes `body`. What had to be tolerated is noted in `kludges`, also when decoding fails.
///
/// # Errors
/// When the body is no request object; [`DecodeError`]'s text is the body of the answer.
pub fn decode<'a>(
    scratch: &'a mut DecodeScratch,
    body: &[u8],
    format: BodyFormat<'_>,
    kludges: &mut Kludges,
) -> Result<Decoded<'a>, DecodeError> {
    let DecodeScratch {
        parser,
        plain,
        unwrapped,
        text,
        number,
        tape: home,
    } = scratch;
    let mut tape = std::mem::replace(home, Tape(Vec::new())).reset();
    let work = Workspace {
        parser,
        plain,
        unwrapped,
        text,
        kludges,
    };
    match read(work, body, format, &mut tape) {
        Ok(fields) => {
            number.clear();
            fields.write_distinct_id_number(&tape.0, number);
            Ok(Decoded {
                tape,
                fields,
                number,
                home,
            })
        }
        Err(error) => {
            *home = tape.reset();
            Err(error)
        }
    }
}

/// The parts of the scratch that reading needs, apart from the tape.
struct Workspace<'a, 'k> {
    parser: &'a mut Parser,
    plain: &'a mut Attempt,
    unwrapped: &'a mut Attempt,
    text: &'a mut Vec<u8>,
    kludges: &'k mut Kludges,
}

fn read<'a>(
    work: Workspace<'a, '_>,
    body: &[u8],
    format: BodyFormat<'_>,
    tape: &mut Tape<'a>,
) -> Result<Fields, DecodeError> {
    let header = format.content_type.unwrap_or("application/json");
    let media_type = header.split(';').next().unwrap_or(header).trim();
    let is = |name: &str| media_type.eq_ignore_ascii_case(name);
    if is("application/json") || is("text/plain") {
        let source = uncompressed(body, format, work.kludges)?;
        read_json(work, source, tape)
    } else if is("application/x-www-form-urlencoded") {
        form::read(work, body, format.compression, tape)
    } else {
        Err(DecodeError::ContentType(header.into()))
    }
}

/// Which decompression applies (`http.md` 5.3).
fn uncompressed<'b>(
    body: &'b [u8],
    format: BodyFormat<'_>,
    kludges: &mut Kludges,
) -> Result<Source<'b>, DecodeError> {
    match format.compression {
        Some(Compression::Gzip) => return Ok(Source::Gzip(body)),
        Some(Compression::Base64) => return Ok(Source::Plain(body)),
        Some(Compression::Unsupported) => return Err(DecodeError::Compression),
        None => {}
    }
    let announced = format.content_encoding.is_some_and(|encoding| {
        encoding
            .as_bytes()
            .windows(4)
            .any(|name| name.eq_ignore_ascii_case(b"gzip"))
    });
    if announced {
        return Ok(Source::Gzip(body));
    }
    if gzip::is_gzip(body) {
        kludges.auto_detected_gzip = true;
        return Ok(Source::Gzip(body));
    }
    Ok(Source::Plain(body))
}

/// JSON in any dialect, or base64 of it (`http.md` 5.4).
fn read_json<'a>(
    work: Workspace<'a, '_>,
    source: Source<'_>,
    tape: &mut Tape<'a>,
) -> Result<Fields, DecodeError> {
    let Workspace {
        parser,
        plain,
        unwrapped,
        text,
        kludges,
    } = work;
    if let Some(fields) = attempt::read(parser, plain, source, Dialect::Json5, tape, kludges)? {
        return Ok(fields);
    }
    kludges.padding_needed = if let Source::Plain(body) = source {
        base64::candidate(body, text)
    } else {
        let length = source.write(&mut unwrapped.content, &mut parser.inflater)?;
        base64::candidate(unwrapped.content.content(length), text)
    };
    let source = Source::Base64(text);
    match attempt::read(parser, unwrapped, source, Dialect::Json5, tape, kludges) {
        Ok(Some(fields)) => {
            kludges.base64_fallback_success = true;
            Ok(fields)
        }
        _ => Err(DecodeError::InvalidJson),
    }
}

#[cfg(test)]
mod equivalence;
#[cfg(test)]
mod tests;
