//! Sixteen lanes with instructions of AVX-512 on 512-bit vectors.

use core::arch::x86_64::{
    __m512i as Vector, _mm_setr_epi8, _mm256_loadu_si256, _mm512_add_epi32, _mm512_broadcast_i32x4,
    _mm512_broadcast_i64x4, _mm512_loadu_si512, _mm512_permutex2var_epi64, _mm512_permutexvar_epi32,
    _mm512_rol_epi32, _mm512_set1_epi32, _mm512_setr_epi64, _mm512_shuffle_epi8, _mm512_shuffle_i32x4,
    _mm512_srli_epi64, _mm512_storeu_si512, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::rounds::{block_rounds, eighty_rounds, rounds_of_lanes};

/// Messages that are hashed at a time.
const LANES: usize = 16;

rounds_of_lanes!("avx512f,avx512bw");

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add(x: Vector, y: Vector) -> Vector {
    _mm512_add_epi32(x, y)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn xor(x: Vector, y: Vector) -> Vector {
    _mm512_xor_si512(x, y)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn splat(word: u32) -> Vector {
    _mm512_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn rotate_left<const BITS: i32>(x: Vector) -> Vector {
    _mm512_rol_epi32::<BITS>(x)
}

// The constants are truth tables: bit `4x + 2y + z` is the function's value.

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn parity(x: Vector, y: Vector, z: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0b1001_0110>(x, y, z)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn choose(x: Vector, y: Vector, z: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0b1100_1010>(x, y, z)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn majority(x: Vector, y: Vector, z: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0b1110_1000>(x, y, z)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn integers(words: &[u32; 16]) -> Vector {
    // SAFETY: `words` is 64 bytes that may be read; no alignment is asked for.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// Of each lane's row, the word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn choose_row(words: &[u32; 8], rows: Vector) -> Vector {
    // SAFETY: `words` is 32 bytes that may be read; no alignment is asked for.
    let words = unsafe { _mm256_loadu_si256(words.as_ptr().cast()) };
    _mm512_permutexvar_epi32(rows, _mm512_broadcast_i64x4(words))
}

/// First 60 bits of sixteen digests, from their first two words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn first60(high: Vector, low: Vector) -> [u64; 16] {
    // Lanes 0, 1 and lanes 2, 3 of each quarter, the low word first as memory has it.
    let front = _mm512_srli_epi64::<4>(_mm512_unpacklo_epi32(low, high));
    let back = _mm512_srli_epi64::<4>(_mm512_unpackhi_epi32(low, high));
    let first = _mm512_permutex2var_epi64(front, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), back);
    let second = _mm512_permutex2var_epi64(front, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), back);
    let mut lanes = [0; 16];
    let pointer: *mut Vector = lanes.as_mut_ptr().cast();
    // SAFETY: `lanes` is 128 bytes that may be written; no alignment is asked for.
    unsafe {
        _mm512_storeu_si512(pointer.cast(), first);
        _mm512_storeu_si512(pointer.add(1).cast(), second);
    }
    lanes
}

/// A block as sixteen words of the message.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(block: &[u8; 64]) -> Vector {
    let big_endian = _mm512_broadcast_i32x4(_mm_setr_epi8(
        3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
    ));
    // SAFETY: `block` is 64 bytes that may be read; no alignment is asked for.
    let vector = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    _mm512_shuffle_epi8(vector, big_endian)
}

/// The sixteen words of sixteen blocks, the same word of every block side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn words(blocks: [&[u8; 64]; 16]) -> [Vector; 16] {
    // Of every four rows: a word of each row in each quarter.
    let fours: [[Vector; 4]; 4] = std::array::from_fn(|four| {
        let row = |at: usize| load(blocks[four * 4 + at]);
        let (ab0, ab1) = (
            _mm512_unpacklo_epi32(row(0), row(1)),
            _mm512_unpackhi_epi32(row(0), row(1)),
        );
        let (cd0, cd1) = (
            _mm512_unpacklo_epi32(row(2), row(3)),
            _mm512_unpackhi_epi32(row(2), row(3)),
        );
        [
            _mm512_unpacklo_epi64(ab0, cd0),
            _mm512_unpackhi_epi64(ab0, cd0),
            _mm512_unpacklo_epi64(ab1, cd1),
            _mm512_unpackhi_epi64(ab1, cd1),
        ]
    });
    // Quarter `q` of `fours[four][at]` is word `4q + at` of those four rows: bring the quarters of one word together.
    let mut words = [splat(0); 16];
    for at in 0..4 {
        let [a, b, c, d] = fours.map(|four| four[at]);
        let (ab_even, ab_odd) = (
            _mm512_shuffle_i32x4::<0b10_00_10_00>(a, b),
            _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b),
        );
        let (cd_even, cd_odd) = (
            _mm512_shuffle_i32x4::<0b10_00_10_00>(c, d),
            _mm512_shuffle_i32x4::<0b11_01_11_01>(c, d),
        );
        words[at] = _mm512_shuffle_i32x4::<0b10_00_10_00>(ab_even, cd_even);
        words[4 + at] = _mm512_shuffle_i32x4::<0b10_00_10_00>(ab_odd, cd_odd);
        words[8 + at] = _mm512_shuffle_i32x4::<0b11_01_11_01>(ab_even, cd_even);
        words[12 + at] = _mm512_shuffle_i32x4::<0b11_01_11_01>(ab_odd, cd_odd);
    }
    words
}
