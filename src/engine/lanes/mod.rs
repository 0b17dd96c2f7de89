//! Bucketing hashes of one request, eight at a time.
//!
//! A request hashes a prefix of each flag with mostly the same identifier. [`HashBatch`] collects such messages and
//! hashes full lanes with the best instructions that the processor has ([`Level`]). What comes out is the same bit
//! for bit on every level. It knows nothing of flags and conditions.

mod batch;
mod level;
mod message;
#[cfg(not(target_arch = "x86_64"))]
mod none;
mod padding;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

pub(super) use batch::{HashBatch, Salt};
pub use level::Level;
pub(super) use message::{INITIAL, PrefixSpan, Prefixes, TWO_BLOCKS_MAX};
