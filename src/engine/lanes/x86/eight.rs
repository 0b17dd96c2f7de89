//! Eight lanes of 32 bits in 256-bit vectors: loads, stores and what moves words between lanes.

/// Everything but `rotate_left`, `parity`, `choose` and `majority`, which stand beside it.
macro_rules! eight_lanes {
    ($features:literal) => {
        use core::arch::x86_64::{
            __m256i as Vector, _mm256_add_epi32, _mm256_loadu_si256, _mm256_permute2x128_si256,
            _mm256_permutevar8x32_epi32, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_shuffle_epi8,
            _mm256_srli_epi64, _mm256_storeu_si256, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
            _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
        };

        /// Messages that are hashed at a time.
        const LANES: usize = 8;

        #[inline]
        #[target_feature(enable = $features)]
        fn add(x: Vector, y: Vector) -> Vector {
            _mm256_add_epi32(x, y)
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn xor(x: Vector, y: Vector) -> Vector {
            _mm256_xor_si256(x, y)
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn splat(word: u32) -> Vector {
            _mm256_set1_epi32(word.cast_signed())
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn integers(words: &[u32; 8]) -> Vector {
            // SAFETY: `words` is 32 bytes that may be read; no alignment is asked for.
            unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
        }

        /// First 60 bits of eight digests, from their first two words.
        #[inline]
        #[target_feature(enable = $features)]
        fn first60(high: Vector, low: Vector) -> [u64; 8] {
            // Lanes 0, 1, 4, 5 and lanes 2, 3, 6, 7, the low word first as memory has it.
            let front = _mm256_srli_epi64::<4>(_mm256_unpacklo_epi32(low, high));
            let back = _mm256_srli_epi64::<4>(_mm256_unpackhi_epi32(low, high));
            let mut lanes = [0; 8];
            let [first, second] = [
                _mm256_permute2x128_si256::<0x20>(front, back),
                _mm256_permute2x128_si256::<0x31>(front, back),
            ];
            let pointer: *mut Vector = lanes.as_mut_ptr().cast();
            // SAFETY: `lanes` is 64 bytes that may be written; no alignment is asked for.
            unsafe {
                _mm256_storeu_si256(pointer, first);
                _mm256_storeu_si256(pointer.add(1), second);
            }
            lanes
        }

        /// Half of a block as eight words of the message.
        #[inline]
        #[target_feature(enable = $features)]
        fn load(block: &[u8; 64], half: usize) -> Vector {
            let big_endian = _mm256_setr_epi8(
                3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, //
                3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
            );
            let bytes = &block.as_chunks::<32>().0[half];
            // SAFETY: `bytes` is 32 bytes that may be read; no alignment is asked for.
            let vector = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
            _mm256_shuffle_epi8(vector, big_endian)
        }

        /// The sixteen words of eight blocks, the same word of every block side by side.
        #[inline]
        #[target_feature(enable = $features)]
        fn words(blocks: [&[u8; 64]; 8]) -> [Vector; 16] {
            let low = transpose(blocks.map(|block| load(block, 0)));
            let high = transpose(blocks.map(|block| load(block, 1)));
            let mut words = [splat(0); 16];
            words[..8].copy_from_slice(&low);
            words[8..].copy_from_slice(&high);
            words
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn transpose(rows: [Vector; 8]) -> [Vector; 8] {
            let [a, b, c, d, e, f, g, h] = rows;
            let (ab0, ab1) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
            let (cd0, cd1) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
            let (ef0, ef1) = (_mm256_unpacklo_epi32(e, f), _mm256_unpackhi_epi32(e, f));
            let (gh0, gh1) = (_mm256_unpacklo_epi32(g, h), _mm256_unpackhi_epi32(g, h));
            // A quarter's 128-bit halves hold a word of four rows, and the word four further on.
            let front = [
                _mm256_unpacklo_epi64(ab0, cd0),
                _mm256_unpackhi_epi64(ab0, cd0),
                _mm256_unpacklo_epi64(ab1, cd1),
                _mm256_unpackhi_epi64(ab1, cd1),
            ];
            let back = [
                _mm256_unpacklo_epi64(ef0, gh0),
                _mm256_unpackhi_epi64(ef0, gh0),
                _mm256_unpacklo_epi64(ef1, gh1),
                _mm256_unpackhi_epi64(ef1, gh1),
            ];
            [
                _mm256_permute2x128_si256::<0x20>(front[0], back[0]),
                _mm256_permute2x128_si256::<0x20>(front[1], back[1]),
                _mm256_permute2x128_si256::<0x20>(front[2], back[2]),
                _mm256_permute2x128_si256::<0x20>(front[3], back[3]),
                _mm256_permute2x128_si256::<0x31>(front[0], back[0]),
                _mm256_permute2x128_si256::<0x31>(front[1], back[1]),
                _mm256_permute2x128_si256::<0x31>(front[2], back[2]),
                _mm256_permute2x128_si256::<0x31>(front[3], back[3]),
            ]
        }

        /// Of each lane's row, the word.
        #[inline]
        #[target_feature(enable = $features)]
        fn choose_row(words: &[u32; 8], rows: Vector) -> Vector {
            _mm256_permutevar8x32_epi32(integers(words), rows)
        }

        rounds_of_lanes!($features);
    };
}

pub(super) use eight_lanes;
