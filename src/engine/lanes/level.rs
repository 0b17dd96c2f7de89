//! Which instructions hash: found once, when a worker's memory is made, or pinned by tests and measurements.

use sha1::block_api::compress;

use super::message::{INITIAL, Message};
#[cfg(target_arch = "x86_64")]
use super::x86::Instructions;
use crate::engine::hash::first60;

/// Lanes of every level that has lanes.
pub(super) const LANES: usize = 8;

/// A way of hashing that this processor can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    #[cfg(target_arch = "x86_64")]
    instructions: Option<Instructions>,
    /// From how many messages on the lanes, all of which are computed whatever is in them, beat one after the other.
    worth: usize,
}

impl Level {
    /// Names that [`Level::named`] knows, the best last.
    pub const NAMES: [&'static str; 3] = ["portable", "avx2", "avx512"];

    /// One message after the other with the `sha1` crate, which uses the SHA instructions of x86-64 and AArch64
    /// where there are any.
    pub const PORTABLE: Self = Self {
        #[cfg(target_arch = "x86_64")]
        instructions: None,
        worth: usize::MAX,
    };

    /// The best level of this processor.
    #[must_use]
    pub fn detect() -> Self {
        Self::named("avx512")
            .or_else(|| Self::named("avx2"))
            .unwrap_or(Self::PORTABLE)
    }

    /// A level by name; `None` when there is none of that name or this processor cannot do it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == "portable" {
            return Some(Self::PORTABLE);
        }
        Self::with_lanes(name)
    }

    #[cfg(target_arch = "x86_64")]
    fn with_lanes(name: &str) -> Option<Self> {
        // Nanoseconds of `x86`'s table: eight lanes, against one message in software or with SHA-NI.
        let alone = if is_x86_feature_detected!("sha") { 22 } else { 94 };
        let (wide, lanes) = match name {
            "avx2" => (false, 121),
            "avx512" => (true, 78),
            _ => return None,
        };
        Some(Self {
            instructions: Some(Instructions::detect(wide)?),
            worth: (lanes / alone + 1).max(2),
        })
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn with_lanes(_name: &str) -> Option<Self> {
        None
    }

    /// Whether that many messages are hashed in lanes.
    pub(super) fn is_worth_lanes(self, messages: usize) -> bool {
        messages >= self.worth
    }

    /// First 60 bits of eight digests: after the first block of each message, and after the second if `second`.
    pub(super) fn digests(self, messages: [&Message; LANES], second: bool) -> [[u64; LANES]; 2] {
        #[cfg(target_arch = "x86_64")]
        if let Some(instructions) = self.instructions {
            return instructions.digests(messages, second);
        }
        let blocks = 1 + usize::from(second);
        [
            messages.map(|message| digest(message, 1)),
            messages.map(|message| digest(message, blocks)),
        ]
    }
}

/// First 60 bits of the digest of a padded message of one or two blocks.
pub(super) fn digest(message: &Message, blocks: usize) -> u64 {
    let mut state = INITIAL;
    compress(&mut state, &message[..blocks]);
    first60(state[0], state[1])
}
