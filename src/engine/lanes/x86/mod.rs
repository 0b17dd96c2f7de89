//! SHA-1 of eight or sixteen messages at a time: the one module with `unsafe`.
//!
//! Why it is worth it: most of an evaluation is SHA-1, and vector loads, stores and instructions beyond the
//! baseline have no safe form. Nanoseconds a block on one core of an AMD EPYC (Zen 4), same run:
//!
//! | | ns |
//! | --- | --- |
//! | `sha1` crate in software | 94 |
//! | `sha1` crate with SHA-NI, one message | 22 to 24 |
//! | SHA-NI, two or three messages interleaved | 15 to 18 |
//! | AVX2, 8 lanes | 15.1 |
//! | AVX-512 instructions on 256-bit vectors, 8 lanes | 9.8 |
//! | AVX-512, 16 lanes | 9.1 |
//!
//! So SHA-NI wins for a few messages alone, and interleaved it brings nothing that AVX2 lacks. A second block of padding
//! ([`super::padding`]) costs two thirds of one that holds something: 1,010 instructions for eight lanes of AVX2, not 1,700.
//!
//! Weighed and left out: the state after the words of the prefix, prepared at load (it saves 5 rounds of 80 and costs their
//! transposition, the same number of instructions); words scheduled at load for groups of flags (2.5 KB a group, and only keys of one
//! length can share a group, because the identifier follows the key).
//!
//! The safe twin, which defines what is right, is [`super::level::digest`] over the `sha1` crate.
#![allow(unsafe_code)]

mod avx2;
mod avx512;
mod avx512x16;
mod eight;
mod rounds;

use super::level::{EIGHT, Group, LANES_MAX};
use super::message::Message;
use super::padding::Second;

/// A set of instructions that this processor has; only [`Instructions::named`] makes one, which is what makes
/// its digests sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instructions(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Avx2,
    Avx512,
    /// That, and 512-bit vectors where there are messages for them.
    Avx512Sixteen,
}

impl Instructions {
    /// Instructions by the name of their level; `None` when there are none of that name or this processor lacks them.
    pub fn named(name: &str) -> Option<Self> {
        let avx2 = is_x86_feature_detected!("avx2");
        let avx512 = avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        // The first processors with 512-bit vectors lower their clock for them; VBMI2 came with those that do not.
        let wide = avx512 && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi2");
        match name {
            "avx2" => avx2.then_some(Self(Set::Avx2)),
            "avx512" => avx512.then_some(Self(Set::Avx512)),
            "avx512x16" => wide.then_some(Self(Set::Avx512Sixteen)),
            _ => None,
        }
    }

    /// Lanes that are hashed at a time when there are messages for all of them.
    pub fn lanes(self) -> usize {
        match self.0 {
            Set::Avx2 | Set::Avx512 => EIGHT,
            Set::Avx512Sixteen => LANES_MAX,
        }
    }

    /// From how many messages on eight lanes beat one message after the other.
    pub fn worth(self) -> usize {
        // Nanoseconds of the table above: a block in eight lanes, against one in software or with SHA-NI.
        let alone = if is_x86_feature_detected!("sha") { 22 } else { 94 };
        let eight = if self.0 == Set::Avx2 { 121 } else { 78 };
        (eight / alone + 1).max(2)
    }
}

impl Group<EIGHT> for Instructions {
    #[inline]
    fn digests(self, messages: [&Message; EIGHT], second: Second<EIGHT>) -> [[u64; EIGHT]; 2] {
        match self.0 {
            // SAFETY: `named` has found AVX2.
            Set::Avx2 => unsafe { avx2::digests(messages, second) },
            // SAFETY: `named` has found AVX2, AVX-512F and AVX-512VL.
            Set::Avx512 | Set::Avx512Sixteen => unsafe { avx512::digests(messages, second) },
        }
    }
}

impl Group<LANES_MAX> for Instructions {
    #[inline]
    fn digests(self, messages: [&Message; LANES_MAX], second: Second<LANES_MAX>) -> [[u64; LANES_MAX]; 2] {
        match self.0 {
            // SAFETY: `named` has found AVX-512F and AVX-512BW.
            Set::Avx512Sixteen => unsafe { avx512x16::digests(messages, second) },
            Set::Avx2 | Set::Avx512 => twice(self, messages, second),
        }
    }
}

/// Sixteen messages in eight lanes.
fn twice(
    instructions: Instructions,
    messages: [&Message; LANES_MAX],
    second: Second<LANES_MAX>,
) -> [[u64; LANES_MAX]; 2] {
    let mut found = [[0; LANES_MAX]; 2];
    for half in 0..2 {
        let at = |lane: usize| half * EIGHT + lane;
        let second = match second {
            Second::None => Second::None,
            Second::Padding(rows) => Second::Padding(std::array::from_fn(|lane| rows[at(lane)])),
            Second::Block => Second::Block,
        };
        let messages: [&Message; EIGHT] = std::array::from_fn(|lane| messages[at(lane)]);
        for (found, half) in found.iter_mut().zip(instructions.digests(messages, second)) {
            for (lane, hash) in half.into_iter().enumerate() {
                found[at(lane)] = hash;
            }
        }
    }
    found
}
