//! Eight lanes with AVX2 alone: a rotation takes three instructions.

use core::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm256_and_si256, _mm256_or_si256, _mm256_sll_epi32, _mm256_srl_epi32,
};

use super::rounds::eight_lanes;

eight_lanes!("avx2");

#[inline]
#[target_feature(enable = "avx2")]
fn rotate_left<const BITS: i32>(x: __m256i) -> __m256i {
    // Counts are constants: the compiler turns both shifts into their immediate forms.
    let left = _mm256_sll_epi32(x, _mm_cvtsi32_si128(BITS));
    _mm256_or_si256(left, _mm256_srl_epi32(x, _mm_cvtsi32_si128(32 - BITS)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn parity(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    xor(xor(x, y), z)
}

#[inline]
#[target_feature(enable = "avx2")]
fn choose(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    xor(_mm256_and_si256(x, xor(y, z)), z)
}

#[inline]
#[target_feature(enable = "avx2")]
fn majority(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    let both = _mm256_and_si256(x, y);
    _mm256_or_si256(both, _mm256_and_si256(z, _mm256_or_si256(x, y)))
}
