//! SHA-1 of eight messages at a time: the one module with `unsafe`.
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
//! So interleaved SHA-NI brings nothing that AVX2 lacks, and 16 lanes gain a fourteenth only when all of them are
//! full, while 512-bit vectors make older processors lower their clock for everything else that runs on them.
//!
//! The safe twin, which defines what is right, is [`super::level::digest`] over the `sha1` crate.
#![allow(unsafe_code)]

mod avx2;
mod avx512;
mod rounds;

use super::message::Message;

/// A set of instructions that this processor has; only [`Instructions::detect`] makes one, which is what makes
/// [`Instructions::digests`] sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instructions(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Avx2,
    Avx512,
}

impl Instructions {
    /// AVX-512 (F and VL) if `wide`, else AVX2; `None` when the processor lacks it.
    pub fn detect(wide: bool) -> Option<Self> {
        let avx2 = is_x86_feature_detected!("avx2");
        let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        match wide {
            true => (avx2 && avx512).then_some(Self(Set::Avx512)),
            false => avx2.then_some(Self(Set::Avx2)),
        }
    }

    /// First 60 bits of the digests after the first block of each message, and after the second if `second`.
    pub fn digests(self, messages: [&Message; 8], second: bool) -> [[u64; 8]; 2] {
        match self.0 {
            // SAFETY: `detect` has found AVX2.
            Set::Avx2 => unsafe { avx2::digests(messages, second) },
            // SAFETY: `detect` has found AVX2, AVX-512F and AVX-512VL.
            Set::Avx512 => unsafe { avx512::digests(messages, second) },
        }
    }
}
