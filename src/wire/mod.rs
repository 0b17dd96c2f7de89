//! Bytes in and out: body, request, response formats. Knows no HTTP types.
//!
//! Inwards, start at [`decode()`]: raw body in, [`request::FlagRequest`] out, all memory from a
//! [`scratch::DecodeScratch`] that the caller keeps. [`query::FlagsQuery`] reads the query string.

mod base64;
pub mod decode;
mod gzip;
mod json5;
mod peek;
pub(crate) mod percent;
pub mod query;
pub mod request;
pub mod response;
pub mod scratch;

pub use decode::{BodyFormat, DecodeError, Decoded, Kludges, decode};
pub use peek::peek_token;
