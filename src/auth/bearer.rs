//! The credential of a request.

use std::fmt;

use sha2::{Digest, Sha256};

/// What every stored form of a secret begins with.
const SECRET_PREFIX: &str = "phs_";

/// Far longer than any that is given out; longer ones are nobody's.
const BYTES_MAX: usize = 1000;

/// A bearer credential and its hash. It has no clear text in its debug form.
#[derive(Clone, Copy)]
pub struct Credential<'h> {
    value: &'h str,
    digest: [u8; 32],
}

impl<'h> Credential<'h> {
    /// Reads the value of an `Authorization` header; `None`: no credential is provided (`http.md` 13.3). The scheme may be
    /// written in any letter case, as HTTP says.
    #[must_use]
    pub fn read(header: &'h str) -> Option<Self> {
        let (scheme, value) = header.split_once(' ')?;
        let value = value.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || value.is_empty() {
            return None;
        }
        Some(Self {
            value,
            digest: Sha256::digest(value.as_bytes()).into(),
        })
    }

    /// Whether it is a secret of a team or project, and not a person's key.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.value.starts_with(SECRET_PREFIX)
    }

    /// Whether it is too long to be anybody's.
    pub(super) fn is_oversized(&self) -> bool {
        self.value.len() > BYTES_MAX
    }

    /// In the clear.
    pub(super) fn value(&self) -> &'h str {
        self.value
    }

    /// SHA-256 of the value: what it is remembered by.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credential")
    }
}

/// `sha256$` and 64 hex digits: how keys are stored, and named in the shared cache (`storage.md` 7.3, 7.4).
pub(super) fn stored_form(digest: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(7 + 64);
    text.push_str("sha256$");
    for byte in digest {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(half)]));
        }
    }
    text
}

/// The digest behind such a text; `None` for any other.
pub(super) fn parse_stored_form(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256$")?.as_bytes();
    let mut digest = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_value_is_a_credential() {
        for (header, value) in [
            ("Bearer phs_a", Some("phs_a")),
            ("bearer phs_a", Some("phs_a")),
            ("BEARER   phx_b \t", Some("phx_b")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Bearer    ", None),
            ("Bearer:phs_a", None),
            ("Token phs_a", None),
            ("Basic cGhz", None),
            ("phs_a", None),
            ("", None),
        ] {
            assert_eq!(
                Credential::read(header).map(|found| found.value()),
                value,
                "{header}"
            );
        }
    }

    #[test]
    fn the_stored_form_is_the_database_s() {
        let credential = Credential::read("Bearer phs_exampleSecretToken0001").unwrap();
        let stored = stored_form(&credential.digest());
        // printf %s phs_exampleSecretToken0001 | sha256sum
        assert_eq!(
            stored,
            "sha256$2a25dce6e7cd01190f98c0e369f7ccd58648baad277ce5dadd4ea66c4ceee59b"
        );
        assert_eq!(parse_stored_form(&stored), Some(credential.digest()));
        for other in [
            "sha256$",
            "2a25",
            "sha256$zz",
            &stored[..70],
            "pbkdf2_sha256$1$a$b",
        ] {
            assert_eq!(parse_stored_form(other), None, "{other}");
        }
        assert_eq!(format!("{credential:?}"), "Credential");
    }
}
