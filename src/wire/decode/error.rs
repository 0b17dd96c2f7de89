//! Why a body is no request, and the text that says so.

use std::fmt;

use super::super::gzip::{GunzipError, INFLATED_BYTES_MAX};
use super::attempt::SourceError;

/// A body that could not be decoded. Its `Display` is the whole body of the answer
/// (`http.md` 5.1, 5.3), which is 413 for [`DecodeError::TooLarge`] and 400 for all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// No decoder for this `Content-Type`, given as sent.
    ContentType(Box<str>),
    /// The `compression` parameter names something else than gzip and base64.
    Compression,
    /// Announced or detected gzip that does not start as gzip does.
    GzipHeader,
    /// Gzip that is cut short or damaged.
    GzipCorrupt,
    /// More than 4 MiB when decompressed.
    TooLarge,
    /// Neither JSON nor base64 of it, or not of the shape of a request.
    InvalidJson,
    /// A form that is not UTF-8.
    FormNotUtf8,
    /// A form that is not UTF-8 once percent-decoded.
    FormNotUrlEncoded,
    /// `compression=gzip` with a form.
    FormGzip,
    /// A form whose content is not base64.
    FormNotBase64,
    /// A form whose content is no request.
    FormInvalidJson,
}

impl DecodeError {
    /// One label for metrics and the log.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ContentType(_) => "unsupported_content_type",
            Self::Compression => "unsupported_compression",
            Self::GzipHeader | Self::GzipCorrupt => "invalid_gzip",
            Self::TooLarge => "decompressed_too_large",
            Self::InvalidJson => "invalid_json",
            Self::FormNotUtf8 | Self::FormNotUrlEncoded => "invalid_form",
            Self::FormGzip => "form_gzip",
            Self::FormNotBase64 => "invalid_base64",
            Self::FormInvalidJson => "form_invalid_json",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TooLarge => {
                return write!(
                    out,
                    "Decompressed request body exceeded {INFLATED_BYTES_MAX} bytes (got {}). \
                     If this is a legitimate workload, contact PostHog support.",
                    INFLATED_BYTES_MAX + 1
                );
            }
            Self::ContentType(header) => {
                return wrap(out, format_args!("unsupported content type: {header}"));
            }
            Self::Compression => "Unsupported compression type",
            Self::GzipHeader => "invalid gzip header",
            Self::GzipCorrupt => "corrupt deflate stream",
            Self::InvalidJson => "invalid JSON",
            Self::FormNotUtf8 => "Invalid UTF-8 in form data",
            Self::FormNotUrlEncoded => "Failed to URL decode form data",
            Self::FormGzip => "Gzip compression not supported for form-urlencoded data",
            Self::FormNotBase64 => "Base64 decoding error: invalid symbol, length or padding",
            Self::FormInvalidJson => "invalid JSON structure",
        };
        wrap(out, format_args!("{text}"))
    }
}

fn wrap(out: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    write!(
        out,
        "Failed to decode request: {text}. Please check your request format and try again."
    )
}

impl std::error::Error for DecodeError {}

impl From<GunzipError> for DecodeError {
    fn from(error: GunzipError) -> Self {
        match error {
            GunzipError::Header => Self::GzipHeader,
            GunzipError::Corrupt => Self::GzipCorrupt,
            GunzipError::TooLarge => Self::TooLarge,
        }
    }
}

impl From<SourceError> for DecodeError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Gunzip(error) => error.into(),
            SourceError::Base64 => Self::FormNotBase64,
        }
    }
}
