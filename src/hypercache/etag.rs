//! ETags of entries (`storage.md` 2.6).

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// First 16 lowercase hex digits of the SHA-256 of the stored text. Never compute it over a value that was serialised again.
#[must_use]
pub fn etag(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut out = String::with_capacity(16);
    for byte in digest.iter().take(8) {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_specification() {
        assert_eq!(etag(r#"{"flags":[]}"#), "ccbb299897f0a689");
        assert_eq!(etag(""), "e3b0c44298fc1c14");
    }
}
