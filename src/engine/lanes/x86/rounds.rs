//! The rounds of SHA-1 (FIPS 180-4, 6.1.2) of several messages, one a lane, as a macro: functions that use vector instructions can
//! be inlined only into functions compiled for the same features, so each set of instructions has its own copy.

/// The rounds for one set of features. Beside it stand `Vector`, `LANES`, `add`, `xor`, `splat`, `rotate_left`, `parity`, `choose`,
/// `majority`, `integers`, `choose_row`, `words` and `first60`.
macro_rules! rounds_of_lanes {
    ($features:literal) => {
        use crate::engine::lanes::message::{INITIAL, Message};
        use crate::engine::lanes::padding::{K0, K1, K2, K3, PADDING, Second};

        /// First 60 bits of the digests after the first block of each message, and after the second if there is one.
        #[target_feature(enable = $features)]
        pub(super) fn digests(messages: [&Message; LANES], second: Second<LANES>) -> [[u64; LANES]; 2] {
            // With the initial state known, the first rounds of the first block are shorter: it has its own copy of them.
            let initial = INITIAL.map(|word| splat(word));
            let state = block_rounds!(initial, words(messages.map(|message| &message[0])));
            let after = match second {
                Second::None => {
                    let first = first60(state[0], state[1]);
                    return [first, first];
                }
                Second::Padding(rows) => padding_rounds(state, rows),
                Second::Block => message_rounds(state, messages),
            };
            [first60(state[0], state[1]), first60(after[0], after[1])]
        }

        /// A second block that holds something of some message.
        #[inline(never)]
        #[target_feature(enable = $features)]
        fn message_rounds(state: [Vector; 5], messages: [&Message; LANES]) -> [Vector; 5] {
            block_rounds!(state, words(messages.map(|message| &message[1])))
        }

        /// A second block of padding; `rows` says which of [`PADDING`] each lane takes.
        #[inline]
        #[target_feature(enable = $features)]
        fn padding_rounds(state: [Vector; 5], rows: [u32; LANES]) -> [Vector; 5] {
            let rows = integers(&rows);
            macro_rules! word {
                ($t:expr, $k:ident) => {
                    if $t > 0 && $t < 15 {
                        splat($k)
                    } else {
                        choose_row(&PADDING[$t], rows)
                    }
                };
            }
            eighty_rounds!(state, word)
        }
    };
}

/// All rounds of a block; `$word` gives a round's word with its constant already added.
// rustfmt moves the inner macros further to the right with every run.
#[rustfmt::skip]
macro_rules! eighty_rounds {
    ($state:expr, $word:ident) => {{
        let state = $state;
        let [mut a, mut b, mut c, mut d, mut e] = state;
        macro_rules! round {
            ($t:expr, $f:ident, $k:ident, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
                $e = add(
                    add(add($e, $word!($t, $k)), $f($b, $c, $d)),
                    rotate_left::<5>($a),
                );
                $b = rotate_left::<30>($b);
            };
        }
        // Instead of moving five words on, the names move; after five rounds they are where they were.
        macro_rules! five_rounds {
            ($t:expr, $f:ident, $k:ident) => {
                round!($t, $f, $k, a b c d e);
                round!($t + 1, $f, $k, e a b c d);
                round!($t + 2, $f, $k, d e a b c);
                round!($t + 3, $f, $k, c d e a b);
                round!($t + 4, $f, $k, b c d e a);
            };
        }
        macro_rules! twenty_rounds {
            ($t:expr, $f:ident, $k:ident) => {
                five_rounds!($t, $f, $k);
                five_rounds!($t + 5, $f, $k);
                five_rounds!($t + 10, $f, $k);
                five_rounds!($t + 15, $f, $k);
            };
        }
        twenty_rounds!(0, choose, K0);
        twenty_rounds!(20, parity, K1);
        twenty_rounds!(40, majority, K2);
        twenty_rounds!(60, parity, K3);
        [
            add(state[0], a),
            add(state[1], b),
            add(state[2], c),
            add(state[3], d),
            add(state[4], e),
        ]
    }};
}

/// One block of each message into the state.
macro_rules! block_rounds {
    ($state:expr, $words:expr) => {{
        let mut words = $words;
        // Words beyond the sixteenth take the place of the one that is needed no more.
        macro_rules! word {
            ($t:expr, $k:ident) => {{
                if $t >= 16 {
                    let (near, middle) = (words[($t + 13) & 15], words[($t + 8) & 15]);
                    let (far, farthest) = (words[($t + 2) & 15], words[$t & 15]);
                    words[$t & 15] = rotate_left::<1>(xor(parity(near, middle, far), farthest));
                }
                add(words[$t & 15], splat($k))
            }};
        }
        eighty_rounds!($state, word)
    }};
}

pub(super) use {block_rounds, eighty_rounds, rounds_of_lanes};
