//! What must not appear in a log or a message: tokens and keys of PostHog wherever they stand, and passwords in URLs.

use std::borrow::Cow;

/// Takes the place of what is hidden.
const HIDDEN: &str = "***";

/// Bytes of a kind of token: `ph`, a letter, an underscore.
const KIND_BYTES: usize = 4;

/// The text with every secret in it hidden; the kind of a token stays.
#[must_use]
pub fn secrets(text: &str) -> Cow<'_, str> {
    // Both kinds of secrets have one of these; most texts have neither.
    if !text.bytes().any(|byte| byte == b'_' || byte == b':') {
        return Cow::Borrowed(text);
    }
    passwords(tokens(Cow::Borrowed(text)))
}

/// `phc_`, `phs_`, `phx_` and their like, with what follows.
fn tokens(text: Cow<'_, str>) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(at) = text[from..].find("ph").map(|at| from + at) {
        from = at + 2;
        let kind = &text.as_bytes()[at..];
        let is_kind = kind.len() > KIND_BYTES && kind[2].is_ascii_alphabetic() && kind[3] == b'_';
        let secret = if is_kind { &kind[KIND_BYTES..] } else { &[] };
        let length = secret
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
            .count();
        if length > 0 {
            out.push_str(&text[copied..at + KIND_BYTES]);
            out.push_str(HIDDEN);
            copied = at + KIND_BYTES + length;
            from = copied;
        }
    }
    if copied == 0 {
        return text;
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// `user:password@` behind `://`.
fn passwords(text: Cow<'_, str>) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(at) = text[from..].find("://").map(|at| from + at + 3) {
        from = at;
        let rest = &text[at..];
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''))
            .unwrap_or(rest.len());
        if let Some(length) = rest[..end].rfind('@') {
            out.push_str(&text[copied..at]);
            out.push_str(HIDDEN);
            copied = at + length;
            from = copied;
        }
    }
    if copied == 0 {
        return text;
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::secrets;

    #[test]
    fn tokens_are_hidden_and_their_kind_stays() {
        for (text, shown) in [
            ("phc_abc123", "phc_***"),
            ("a phx_Q-w_1, phs_2!", "a phx_***, phs_***!"),
            ("phphc_x", "phphc_***"),
            ("phc_", "phc_"),
            ("phone ph_x phc-x \u{20ac}ph", "phone ph_x phc-x \u{20ac}ph"),
            ("\u{20ac}phc_\u{20ac}", "\u{20ac}phc_\u{20ac}"),
        ] {
            assert_eq!(secrets(text), shown);
        }
    }

    #[test]
    fn passwords_in_urls_are_hidden() {
        for (text, shown) in [
            ("redis://:hunter2@h:6379/ away", "redis://***@h:6379/ away"),
            ("postgres://u:p@w@h/db?x=1", "postgres://***@h/db?x=1"),
            ("http://h/a@b", "http://h/a@b"),
            ("at https://x:y@z and s3://q", "at https://***@z and s3://q"),
        ] {
            assert_eq!(secrets(text), shown);
        }
    }
}
