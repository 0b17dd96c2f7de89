//! Base64 as clients send it: percent-encoded, with blanks, without padding (`http.md` 5.4, 5.5).

use base64_simd::{Out, STANDARD};

use super::percent;
use super::scratch::Padded;

/// The content is not base64 of the standard alphabet, padded and canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotBase64;

/// Removes blanks and appends `=` up to a multiple of four. Whether anything was appended.
pub(super) fn tidy(text: &mut Vec<u8>) -> bool {
    if memchr::memchr(b' ', text).is_some() {
        text.retain(|byte| *byte != b' ');
    }
    let missing = text.len().next_multiple_of(4) - text.len();
    text.extend_from_slice(&b"==="[..missing]);
    missing > 0
}

/// Fills `text` with the base64 candidate of `body`. Whether padding had to be added.
///
/// Bytes that are not UTF-8, encoded or not, are left in: none belongs to the alphabet, so
/// [`decode`] refuses them as `http.md` 5.4 wants.
pub(super) fn candidate(body: &[u8], text: &mut Vec<u8>) -> bool {
    text.clear();
    text.extend_from_slice(body);
    percent::decode_in_place(text);
    tidy(text)
}

/// Decodes `text` to the start of `out`; how many bytes were written.
pub(super) fn decode(text: &[u8], out: &mut Padded) -> Result<usize, NotBase64> {
    let room = out.room(text.len() / 4 * 3);
    STANDARD
        .decode(text, Out::from_slice(room))
        .map(|written| written.len())
        .map_err(|_| NotBase64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Vec<u8>, NotBase64> {
        let mut out = Padded::default();
        decode(text.as_bytes(), &mut out).map(|length| out.content(length).to_vec())
    }

    #[test]
    fn padding_and_canonical_trailing_bits_are_required() {
        assert_eq!(decoded("QQ==").unwrap(), b"A");
        assert_eq!(decoded("QUI=").unwrap(), b"AB");
        for refused in ["QQ", "QQ=", "QR==", "QUJ=", "QQ==QQ==", "Q_==", "QQ\n="] {
            assert_eq!(decoded(refused), Err(NotBase64), "{refused}");
        }
    }

    #[test]
    fn a_candidate_loses_blanks_and_gains_padding() {
        let mut text = Vec::new();
        assert!(candidate(b"Q U%49", &mut text));
        assert_eq!(text, b"QUI=");
        assert!(!candidate(b"QUI%3D", &mut text));
        assert_eq!(text, b"QUI=");
    }
}
