//! Percent-decoding of bytes. A `%` that two hexadecimal digits do not follow stays as it is.

use std::borrow::Cow;

/// Decodes within `text`, which never grows.
pub(super) fn decode_in_place(text: &mut Vec<u8>) {
    let Some(first) = memchr::memchr(b'%', text) else {
        return;
    };
    let (mut read, mut write) = (first, first);
    while read < text.len() {
        let (byte, width) = unit(&text[read..]);
        text[write] = byte;
        read += width;
        write += 1;
    }
    text.truncate(write);
}

/// Whether anything in a query, or a component of one, needs decoding.
pub(super) fn is_encoded(text: &str) -> bool {
    memchr::memchr2(b'%', b'+', text.as_bytes()).is_some()
}

/// Decodes a query component: `+` is a blank, invalid UTF-8 becomes U+FFFD (`http.md` 3).
pub(crate) fn decode_query(text: &str) -> Cow<'_, str> {
    if !is_encoded(text) {
        return Cow::Borrowed(text);
    }
    let mut bytes: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    decode_in_place(&mut bytes);
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// The byte that `text` starts with, and how many bytes of text stand for it.
fn unit(text: &[u8]) -> (u8, usize) {
    if let [b'%', high, low, ..] = *text
        && let (Some(high), Some(low)) = (hex_digit(high), hex_digit(low))
    {
        (high << 4 | low, 3)
    } else {
        (text[0], 1)
    }
}

/// The value of a hexadecimal digit.
pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        decode_in_place(&mut bytes);
        bytes
    }

    #[test]
    fn a_plus_stays_outside_of_queries() {
        assert_eq!(decoded("a+b%2B%3d"), b"a+b+=");
    }

    #[test]
    fn a_malformed_escape_stays() {
        assert_eq!(decoded("%zz%4"), b"%zz%4");
        assert_eq!(decoded("%%41"), b"%A");
    }

    #[test]
    fn queries_borrow_unless_something_is_encoded() {
        assert!(matches!(decode_query("plain"), Cow::Borrowed("plain")));
        assert_eq!(decode_query("a+b%20c%FF"), "a b c\u{fffd}");
    }
}
