//! Which instructions hash: found once, when a worker's memory is made, or pinned by tests and measurements.

use sha1::block_api::compress;

use super::message::{INITIAL, Message};
#[cfg(not(target_arch = "x86_64"))]
pub(super) use super::none::Instructions;
use super::padding::Second;
#[cfg(target_arch = "x86_64")]
pub(super) use super::x86::Instructions;
use crate::engine::hash::first60;

/// Lanes that every level has.
pub(super) const EIGHT: usize = 8;

/// Lanes of the widest level.
pub(super) const LANES_MAX: usize = 16;

/// A way of hashing that this processor can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    instructions: Option<Instructions>,
    /// From how many messages on eight lanes, all of which are computed whatever is in them, beat one after the other.
    worth: usize,
}

/// Hashing of that many messages at a time.
pub(super) trait Group<const LANES: usize> {
    /// First 60 bits of the digests after the first block of each message, and after the second.
    fn digests(self, messages: [&Message; LANES], second: Second<LANES>) -> [[u64; LANES]; 2];
}

impl Level {
    /// Names that [`Level::named`] knows, the best last.
    pub const NAMES: [&'static str; 4] = ["portable", "avx2", "avx512", "avx512x16"];

    /// One message after the other with the `sha1` crate, which uses the SHA instructions of x86-64 and AArch64
    /// where there are any.
    pub const PORTABLE: Self = Self {
        instructions: None,
        worth: usize::MAX,
    };

    /// The best level of this processor.
    #[must_use]
    pub fn detect() -> Self {
        let mut best_first = Self::NAMES.into_iter().rev();
        best_first.find_map(Self::named).unwrap_or(Self::PORTABLE)
    }

    /// A level by name; `None` when there is none of that name or this processor cannot do it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == "portable" {
            return Some(Self::PORTABLE);
        }
        let instructions = Instructions::named(name)?;
        Some(Self {
            instructions: Some(instructions),
            worth: instructions.worth(),
        })
    }

    /// How it hashes several messages at a time.
    pub(super) fn instructions(self) -> Option<Instructions> {
        self.instructions
    }

    /// How many messages are hashed at a time.
    pub(super) fn lanes(self) -> usize {
        self.instructions.map_or(EIGHT, Instructions::lanes)
    }

    /// How it hashes so few messages in eight lanes, if that is worth it.
    pub(super) fn eight_lanes(self, messages: usize) -> Option<Instructions> {
        self.instructions.filter(|_| messages >= self.worth)
    }
}

/// First 60 bits of the digest of a padded message of one or two blocks.
pub(super) fn digest(message: &Message, blocks: usize) -> u64 {
    let mut state = INITIAL;
    compress(&mut state, &message[..blocks]);
    first60(state[0], state[1])
}
