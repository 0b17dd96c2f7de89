//! Hashes in the place of values: the same value gets the same hash, and without the key nobody can try values out.

use std::fmt::Write;

use ring::hmac::{self, HMAC_SHA256, Key};
use ring::rand::SystemRandom;

use crate::recording::{HASH_DIGITS, TOKEN_HASH_PREFIX};

/// HMAC-SHA-256, cut to 128 bits.
#[derive(Debug, Clone)]
pub struct KeyedHash(Key);

impl KeyedHash {
    /// With a key of the operator's, so that hashes of two recordings agree.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Key::new(HMAC_SHA256, key))
    }

    /// With a key that nobody knows. `None`: the system has no random numbers.
    #[must_use]
    pub fn random() -> Option<Self> {
        Key::generate(HMAC_SHA256, &SystemRandom::new()).ok().map(Self)
    }

    /// What takes the place of a project token.
    #[must_use]
    pub fn token(&self, token: &str) -> String {
        format!("{TOKEN_HASH_PREFIX}{}", self.digits("token", token))
    }

    /// Hexadecimal digits for a value of some kind; equal values of two kinds have different ones.
    #[must_use]
    pub(super) fn digits(&self, kind: &str, value: &str) -> String {
        let mut text = String::with_capacity(HASH_DIGITS);
        for byte in self.bytes(kind, value).iter().take(HASH_DIGITS / 2) {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// A number for a value, below 2^31.
    #[must_use]
    pub(super) fn number(&self, kind: &str, value: &str) -> u32 {
        let bytes = self.bytes(kind, value);
        bytes
            .iter()
            .take(4)
            .fold(0, |number: u32, byte| number.wrapping_shl(8) | u32::from(*byte))
            >> 1
    }

    fn bytes(&self, kind: &str, value: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind.as_bytes());
        // Ends the kind: no kind contains it.
        context.update(&[0]);
        context.update(value.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.sign().as_ref());
        bytes
    }
}
