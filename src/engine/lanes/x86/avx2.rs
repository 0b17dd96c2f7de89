//! Eight lanes with AVX2 alone: a rotation takes three instructions.

use core::arch::x86_64::{
    _mm_cvtsi32_si128, _mm256_and_si256, _mm256_or_si256, _mm256_sll_epi32, _mm256_srl_epi32,
};

use super::eight::eight_lanes;
use super::rounds::{block_rounds, eighty_rounds, rounds_of_lanes};

eight_lanes!("avx2");

#[inline]
#[target_feature(enable = "avx2")]
fn rotate_left<const BITS: i32>(x: Vector) -> Vector {
    // Counts are constants: the compiler turns both shifts into their immediate forms.
    let left = _mm256_sll_epi32(x, _mm_cvtsi32_si128(BITS));
    _mm256_or_si256(left, _mm256_srl_epi32(x, _mm_cvtsi32_si128(32 - BITS)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn parity(x: Vector, y: Vector, z: Vector) -> Vector {
    xor(xor(x, y), z)
}

#[inline]
#[target_feature(enable = "avx2")]
fn choose(x: Vector, y: Vector, z: Vector) -> Vector {
    xor(_mm256_and_si256(x, xor(y, z)), z)
}

#[inline]
#[target_feature(enable = "avx2")]
fn majority(x: Vector, y: Vector, z: Vector) -> Vector {
    let both = _mm256_and_si256(x, y);
    _mm256_or_si256(both, _mm256_and_si256(z, _mm256_or_si256(x, y)))
}
