//! How a body that was taken apart is put together again.

use std::fmt::Write;

use libdeflater::{CompressionLvl, Compressor};
use serde::{Deserialize, Serialize};

/// The encoding in which SDKs send a body (`http.md` 5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrapping {
    /// As it is.
    Plain,
    /// Gzip.
    Gzip,
    /// Base64, the standard alphabet with padding.
    Base64,
    /// A form with `data=` and percent-encoded base64.
    Form,
}

impl Wrapping {
    /// The body as it is sent.
    #[must_use]
    pub fn wrap(self, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => plain.to_vec(),
            Self::Gzip => gzip(plain),
            Self::Base64 => base64_simd::STANDARD.encode_to_string(plain).into_bytes(),
            Self::Form => form(&base64_simd::STANDARD.encode_to_string(plain)),
        }
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::fastest());
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    // The bound is the library's own, so that the room is always enough.
    let length = compressor.gzip_compress(plain, &mut out).unwrap_or_default();
    out.truncate(length);
    out
}

fn form(encoded: &str) -> Vec<u8> {
    let mut out = String::with_capacity(encoded.len() + 16);
    out.push_str("data=");
    for letter in encoded.chars() {
        if letter.is_ascii_alphanumeric() {
            out.push(letter);
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{:02X}", u32::from(letter));
        }
    }
    out.into_bytes()
}
