//! SHA-1 (FIPS 180-4, 6.1) of eight messages, one a lane, as a macro: functions that use vector instructions can be
//! inlined only into functions compiled for the same features, so each set of instructions has its own copy.

/// The algorithm for one set of features. Beside it stand `rotate_left`, `parity`, `choose` and `majority`.
macro_rules! eight_lanes {
    ($features:literal) => {
        use core::arch::x86_64::{
            _mm256_add_epi32, _mm256_loadu_si256, _mm256_permute2x128_si256, _mm256_set1_epi32,
            _mm256_setr_epi8, _mm256_shuffle_epi8, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_unpackhi_epi32,
            _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
        };

        use crate::engine::lanes::message::{INITIAL, Message};

        /// First 60 bits of the digests after the first block of each message, and after the second if `second`.
        #[target_feature(enable = $features)]
        pub(super) fn digests(messages: [&Message; 8], second: bool) -> [[u64; 8]; 2] {
            let mut state = INITIAL.map(|word| splat(word));
            let mut found = [[0; 8]; 2];
            for block in 0..1 + usize::from(second) {
                let blocks = messages.map(|message| &message[block]);
                state = rounds(state, words(blocks));
                found[block] = first60(state[0], state[1]);
            }
            found
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn add(x: __m256i, y: __m256i) -> __m256i {
            _mm256_add_epi32(x, y)
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn xor(x: __m256i, y: __m256i) -> __m256i {
            _mm256_xor_si256(x, y)
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn splat(word: u32) -> __m256i {
            _mm256_set1_epi32(word.cast_signed())
        }

        /// First 60 bits of eight digests, from their first two words.
        #[inline]
        #[target_feature(enable = $features)]
        fn first60(high: __m256i, low: __m256i) -> [u64; 8] {
            // Lanes 0, 1, 4, 5 and lanes 2, 3, 6, 7, the low word first as memory has it.
            let front = _mm256_srli_epi64::<4>(_mm256_unpacklo_epi32(low, high));
            let back = _mm256_srli_epi64::<4>(_mm256_unpackhi_epi32(low, high));
            let mut lanes = [0; 8];
            let [first, second] = [
                _mm256_permute2x128_si256::<0x20>(front, back),
                _mm256_permute2x128_si256::<0x31>(front, back),
            ];
            let pointer: *mut __m256i = lanes.as_mut_ptr().cast();
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
        fn load(block: &[u8; 64], half: usize) -> __m256i {
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
        fn words(blocks: [&[u8; 64]; 8]) -> [__m256i; 16] {
            let low = transpose(blocks.map(|block| load(block, 0)));
            let high = transpose(blocks.map(|block| load(block, 1)));
            let mut words = [splat(0); 16];
            words[..8].copy_from_slice(&low);
            words[8..].copy_from_slice(&high);
            words
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn transpose(rows: [__m256i; 8]) -> [__m256i; 8] {
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

        /// One block into the state.
        #[inline]
        #[target_feature(enable = $features)]
        fn rounds(state: [__m256i; 5], mut words: [__m256i; 16]) -> [__m256i; 5] {
            let [mut a, mut b, mut c, mut d, mut e] = state;
            // Words beyond the sixteenth take the place of the one that is needed no more.
            macro_rules! word {
                ($t:expr) => {{
                    if $t >= 16 {
                        let (near, middle) = (words[($t + 13) & 15], words[($t + 8) & 15]);
                        let (far, farthest) = (words[($t + 2) & 15], words[$t & 15]);
                        words[$t & 15] = rotate_left::<1>(xor(parity(near, middle, far), farthest));
                    }
                    words[$t & 15]
                }};
            }
            macro_rules! round {
                ($t:expr, $f:ident, $k:ident, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
                    $e = add(
                        add(add($e, word!($t)), add($f($b, $c, $d), splat($k))),
                        rotate_left::<5>($a),
                    );
                    $b = rotate_left::<30>($b);
                };
            }
            // Instead of moving five words on, the names move; after five rounds they are where they were.
            macro_rules! five_rounds {
                ($t:literal, $f:ident, $k:ident) => {
                    round!($t, $f, $k, a b c d e);
                    round!($t + 1, $f, $k, e a b c d);
                    round!($t + 2, $f, $k, d e a b c);
                    round!($t + 3, $f, $k, c d e a b);
                    round!($t + 4, $f, $k, b c d e a);
                };
            }
            const K0: u32 = 0x5a82_7999;
            const K1: u32 = 0x6ed9_eba1;
            const K2: u32 = 0x8f1b_bcdc;
            const K3: u32 = 0xca62_c1d6;
            five_rounds!(0, choose, K0);
            five_rounds!(5, choose, K0);
            five_rounds!(10, choose, K0);
            five_rounds!(15, choose, K0);
            five_rounds!(20, parity, K1);
            five_rounds!(25, parity, K1);
            five_rounds!(30, parity, K1);
            five_rounds!(35, parity, K1);
            five_rounds!(40, majority, K2);
            five_rounds!(45, majority, K2);
            five_rounds!(50, majority, K2);
            five_rounds!(55, majority, K2);
            five_rounds!(60, parity, K3);
            five_rounds!(65, parity, K3);
            five_rounds!(70, parity, K3);
            five_rounds!(75, parity, K3);
            [
                add(state[0], a),
                add(state[1], b),
                add(state[2], c),
                add(state[3], d),
                add(state[4], e),
            ]
        }
    };
}

pub(super) use eight_lanes;
