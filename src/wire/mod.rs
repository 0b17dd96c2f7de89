//! Bytes in and out: body, request, response formats. Knows no HTTP types.

pub mod request;
pub mod response;
