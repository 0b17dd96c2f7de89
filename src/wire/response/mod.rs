//! Answers assembled from pre-serialised fragments: no serialiser runs for a request.
//!
//! [`Fragments`] are built once a snapshot; the four shapes of `http.md` 10 are written by copying slices.

mod append;
mod config;
mod fragment;
mod reason;
mod shape;
mod sliced;

pub use append::OVERHANG_BYTES;
pub use config::{CONFIG_BYTES_MAX, Caller, ConfigFragments, ConfigPart, Recording, RecordingDomains};
pub use fragment::{FlagFragments, Fragments};
pub use shape::{Answer, Envelope, Shape, encode, write_minimal};
pub use sliced::SlicedEncoding;
