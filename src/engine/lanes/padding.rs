//! Second blocks that hold nothing of the message: what is left of the padding, and the length.
//!
//! A flag's key with a UUID mostly makes 57 to 64 bytes. The words of such a block depend on the length alone, so that
//! its 80 words, with the round constants already added, are a table.

/// Lengths of messages whose second block is padding alone and stands in the table. (That of 56 bytes is, too, but
/// eight rows are what one instruction can choose from.)
pub(super) const PADDED: std::ops::RangeInclusive<usize> = 57..=64;

/// Round constants (FIPS 180-4, 4.2.1).
pub(super) const K0: u32 = 0x5a82_7999;
pub(super) const K1: u32 = 0x6ed9_eba1;
pub(super) const K2: u32 = 0x8f1b_bcdc;
pub(super) const K3: u32 = 0xca62_c1d6;

/// What follows the first blocks of messages in lanes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Second<const LANES: usize> {
    /// Nothing.
    None,
    /// Padding alone: its row of [`PADDING`], [`row`] of the message's length.
    Padding([u32; LANES]),
    /// A block like the first.
    Block,
}

/// Words by round, one a length.
pub(super) static PADDING: [[u32; 8]; 80] = words();

/// Position of a length of [`PADDED`] in the rows of [`PADDING`].
pub(super) fn row(len: usize) -> u32 {
    (len.wrapping_sub(*PADDED.start()) & 7) as u32
}

/// Becomes the second block of a message of that length, which holds nothing of it.
pub(super) fn pad(block: &mut [u8; 64], len: usize) {
    block.fill(0);
    if len == 64 {
        block[0] = 0x80;
    }
    block[62..].copy_from_slice(&bits(len));
}

/// A message's length in bits, at most 952: of its eight bytes at the end of a message the first six are zero.
pub(super) fn bits(len: usize) -> [u8; 2] {
    (len as u16 * 8).to_be_bytes()
}

const fn words() -> [[u32; 8]; 80] {
    let mut table = [[0; 8]; 80];
    let mut row = 0;
    while row < 8 {
        let mut words = [0; 80];
        let len = *PADDED.start() + row;
        // Up to 63 bytes the end mark stands in the first block.
        words[0] = if len == 64 { 0x8000_0000 } else { 0 };
        words[15] = len as u32 * 8;
        let mut t = 0;
        while t < 80 {
            if t >= 16 {
                words[t] = (words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1);
            }
            table[t][row] = words[t].wrapping_add([K0, K1, K2, K3][t / 20]);
            t += 1;
        }
        row += 1;
    }
    table
}
