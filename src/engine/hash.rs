//! Bucketing: SHA-1 of prefix, identifier and salt, first 60 bits (`evaluation.md` 11.1).

use sha1::block_api::compress;

use super::lanes::{INITIAL, TWO_BLOCKS_MAX};

/// Salt of the variant hash.
pub const VARIANT_SALT: &[u8] = b"variant";

/// Prefix of the holdout hash; the flag key is no part of it.
pub const HOLDOUT_PREFIX: &[u8] = b"holdout-";

/// Hash of `prefix + identifier + salt` as a fraction of 1, both ends reachable.
#[must_use]
pub fn hash(prefix: &[u8], identifier: &str, salt: &[u8]) -> f64 {
    fraction(hash60(prefix, identifier.as_bytes(), salt))
}

/// The 60-bit integer is converted to binary64 first and then scaled: `double(2^60 - 1)` is exactly `2^60`, so
/// the specified division is an exact multiplication by `2^-60`.
pub(super) fn fraction(bits: u64) -> f64 {
    const SCALE: f64 = 1.0 / (1u64 << 60) as f64;
    // Signed, which is one instruction: 60 bits are never negative.
    bits.cast_signed() as f64 * SCALE
}

/// First 60 bits of the digest.
#[must_use]
pub fn hash60(prefix: &[u8], identifier: &[u8], salt: &[u8]) -> u64 {
    let len = prefix.len() + identifier.len() + salt.len();
    if len > TWO_BLOCKS_MAX {
        return hash60_long(prefix, identifier, salt);
    }
    let mut blocks = [[0u8; 64]; 2];
    let bytes = blocks.as_flattened_mut();
    let (id_at, salt_at) = (prefix.len(), prefix.len() + identifier.len());
    bytes[..id_at].copy_from_slice(prefix);
    bytes[id_at..salt_at].copy_from_slice(identifier);
    bytes[salt_at..len].copy_from_slice(salt);
    finish(&mut blocks, len)
}

/// Pads a message of at most two blocks, zero beyond `len`, and hashes it.
fn finish(blocks: &mut [[u8; 64]; 2], len: usize) -> u64 {
    let bytes = blocks.as_flattened_mut();
    bytes[len] = 0x80;
    let used = if len < 56 { 1 } else { 2 };
    bytes[used * 64 - 8..used * 64].copy_from_slice(&(len as u64 * 8).to_be_bytes());
    let mut state = INITIAL;
    compress(&mut state, &blocks[..used]);
    first60(state[0], state[1])
}

/// Messages of three blocks and more: long keys with long identifiers.
#[cold]
fn hash60_long(prefix: &[u8], identifier: &[u8], salt: &[u8]) -> u64 {
    let len = prefix.len() + identifier.len() + salt.len();
    let mut state = INITIAL;
    let mut block = [0u8; 64];
    let mut filled = 0;
    for mut piece in [prefix, identifier, salt] {
        while !piece.is_empty() {
            let take = piece.len().min(64 - filled);
            block[filled..filled + take].copy_from_slice(&piece[..take]);
            filled += take;
            piece = &piece[take..];
            if filled == 64 {
                compress(&mut state, &[block]);
                filled = 0;
            }
        }
    }
    block[filled] = 0x80;
    block[filled + 1..].fill(0);
    if filled >= 56 {
        compress(&mut state, &[block]);
        block = [0; 64];
    }
    block[56..].copy_from_slice(&(len as u64 * 8).to_be_bytes());
    compress(&mut state, &[block]);
    first60(state[0], state[1])
}

/// First 60 bits of a digest, from its first two words.
pub(super) fn first60(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32 | u64::from(low)) >> 4
}

#[cfg(test)]
mod tests {
    use sha1::{Digest, Sha1};

    use super::*;

    #[test]
    fn worked_values() {
        for (prefix, id, salt, expected) in [
            ("beta-search.", "user-17", "", 0.009_101_217_133_290_002),
            ("beta-search.", "ünïcødé-😀", "", 0.741_521_257_800_715_2),
            ("checkout-layout.", "user-61", "variant", 0.569_825_222_454_771_3),
            ("holdout-", "", "", 0.926_882_948_392_029_4),
        ] {
            assert_eq!(
                hash(prefix.as_bytes(), id, salt.as_bytes()).to_bits(),
                f64::to_bits(expected)
            );
        }
        let long = "a".repeat(200);
        assert_eq!(
            hash(b"beta-search.", &long, b"").to_bits(),
            f64::to_bits(0.107_484_261_208_167_24)
        );
    }

    #[test]
    fn every_length_agrees_with_the_digest_of_the_joined_text() {
        let text = "x".repeat(400);
        for prefix in [0, 1, 17, 60, 130] {
            for id in 0..200 {
                for salt in ["", "variant"] {
                    let (p, i) = (&text[..prefix], &text[..id]);
                    let digest = Sha1::digest(format!("{p}{i}{salt}"));
                    let mut first = [0u8; 8];
                    first.copy_from_slice(&digest[..8]);
                    let expected = u64::from_be_bytes(first) >> 4;
                    assert_eq!(hash60(p.as_bytes(), i.as_bytes(), salt.as_bytes()), expected);
                }
            }
        }
    }
}
