//! Text of others on a terminal: what would steer it is spelled out.

use std::borrow::Cow;

/// Most bytes of a body that is unpacked to be shown; a longer one is not.
const UNPACKED_BYTES_MAX: usize = 4 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The text with control characters, and those that turn the direction of writing, as `\u{1b}`.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if steers(letter) {
            out.extend(letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
    out
}

fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first characters of a body, gzip unpacked; of what is no text only its length.
pub(super) fn body_text(body: &[u8], chars_max: usize) -> String {
    let plain = if body.starts_with(&GZIP_MAGIC) {
        unpacked(body).map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(body))
    };
    let text = plain.as_deref().and_then(|plain| std::str::from_utf8(plain).ok());
    match text {
        Some(text) => printable(&text.chars().take(chars_max).collect::<String>()),
        None => format!("({} bytes that are no text)", body.len()),
    }
}

/// What it says of its own size is not believed: the buffer grows until the text fits.
fn unpacked(body: &[u8]) -> Option<Vec<u8>> {
    let mut size = 16 << 10;
    loop {
        let mut plain = vec![0; size];
        match libdeflater::Decompressor::new().gzip_decompress(body, &mut plain) {
            Ok(length) => {
                plain.truncate(length);
                return Some(plain);
            }
            Err(libdeflater::DecompressionError::InsufficientSpace) if size < UNPACKED_BYTES_MAX => size *= 2,
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{UNPACKED_BYTES_MAX, body_text, printable};
    use crate::recording::Wrapping;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2J\r\n\u{9b}31m\u{202e}\u{7f}\u{e4}"),
            "a\\u{1b}[2J\\u{d}\\u{a}\\u{9b}31m\\u{202e}\\u{7f}\u{e4}"
        );
        assert_eq!(
            body_text(b"{\"a\":\"\x1b]0;x\x07\"}", 100),
            "{\"a\":\"\\u{1b}]0;x\\u{7}\"}"
        );
        assert_eq!(body_text(b"abcdef", 3), "abc");
    }

    #[test]
    fn packed_bodies_are_shown_unpacked() {
        let packed = Wrapping::Gzip.wrap(b"{\"distinct_id\":\"x\"}");
        assert_eq!(body_text(&packed, 100), "{\"distinct_id\":\"x\"}");
        assert_eq!(body_text(&packed[..10], 100), "(10 bytes that are no text)");
        let bomb = Wrapping::Gzip.wrap(&vec![b'0'; UNPACKED_BYTES_MAX + 1]);
        assert!(body_text(&bomb, 100).ends_with("bytes that are no text)"));
        assert_eq!(body_text(b"\xff\xfe", 100), "(2 bytes that are no text)");
    }
}
