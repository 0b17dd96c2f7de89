//! Eight lanes with instructions of AVX-512 on 256-bit vectors: a rotation, and any function of three words, are one
//! instruction each, and sixteen more registers hold the message.

use core::arch::x86_64::{_mm256_rol_epi32, _mm256_ternarylogic_epi32};

use super::eight::eight_lanes;
use super::rounds::{block_rounds, eighty_rounds, rounds_of_lanes};

eight_lanes!("avx2,avx512f,avx512vl");

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn rotate_left<const BITS: i32>(x: Vector) -> Vector {
    _mm256_rol_epi32::<BITS>(x)
}

// The constants are truth tables: bit `4x + 2y + z` is the function's value.

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn parity(x: Vector, y: Vector, z: Vector) -> Vector {
    _mm256_ternarylogic_epi32::<0b1001_0110>(x, y, z)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn choose(x: Vector, y: Vector, z: Vector) -> Vector {
    _mm256_ternarylogic_epi32::<0b1100_1010>(x, y, z)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn majority(x: Vector, y: Vector, z: Vector) -> Vector {
    _mm256_ternarylogic_epi32::<0b1110_1000>(x, y, z)
}
