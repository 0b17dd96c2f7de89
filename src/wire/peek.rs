//! The token of a plain JSON body, found without parsing it (`decisions.md` 3).

/// How far into the body is looked. A token further back is limited after decoding.
const PEEKED_BYTES_MAX: usize = 4096;

/// The token of a body that is plain JSON, for the limiter that runs before decoding.
///
/// A guess, not a judgement: it reads the first of `token`, `$token`, `api_key` on the top level and checks
/// nothing else. `None` when the body is encoded in any way, when the token is not an unescaped, non-empty text,
/// or stands behind the first 4 KiB. Whoever limits by it must limit again when decoding
/// finds another token.
#[must_use]
pub fn peek_token(body: &[u8]) -> Option<&str> {
    let mut scan = Scan(&body[..body.len().min(PEEKED_BYTES_MAX)]);
    scan.expect(b'{')?;
    loop {
        let key = scan.string()?;
        scan.expect(b':')?;
        if matches!(key, b"token" | b"$token" | b"api_key") {
            let token = std::str::from_utf8(scan.string()?).ok()?;
            return (!token.is_empty() && !token.contains('\\')).then_some(token);
        }
        scan.skip_value()?;
        scan.expect(b',')?;
    }
}

/// What is left of the text.
struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn skip_blank(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        self.skip_blank();
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == wanted).then_some(())
    }

    /// A string's text as it stands, escapes included.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let mut end = 0;
        loop {
            end += memchr::memchr2(b'"', b'\\', self.0.get(end..)?)?;
            if self.0[end] == b'"' {
                let text = &self.0[..end];
                self.0 = &self.0[end + 1..];
                return Some(text);
            }
            end += 2;
        }
    }

    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            self.skip_blank();
            match self.0.first()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.0 = &self.0[1..];
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.0 = &self.0[1..];
                }
                b',' | b':' if depth > 0 => {
                    self.0 = &self.0[1..];
                    continue;
                }
                _ => {
                    let end = self
                        .0
                        .iter()
                        .position(|byte| matches!(byte, b',' | b'}' | b']' | b':'))?;
                    if end == 0 {
                        return None;
                    }
                    self.0 = &self.0[end..];
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_behind_other_fields() {
        for body in [
            r#"{"token":"phc_a"}"#,
            r#" { "distinct_id" : 5 , "$token" : "phc_a" "#,
            r#"{"a":{"token":"no","b":[1,{"c":"}\"]"}]},"x":null,"api_key":"phc_a"}"#,
            r#"{"a":[],"b":{},"c":-1.5e3,"token":"phc_a"}"#,
        ] {
            assert_eq!(peek_token(body.as_bytes()), Some("phc_a"), "{body}");
        }
    }

    #[test]
    fn anything_else_is_left_to_the_decoder() {
        for body in [
            "",
            "{",
            "{}",
            r#"{"token":""}"#,
            r#"{"token":5}"#,
            r#"{"token":"phc\u005fa"}"#,
            r#"{"a":1}"#,
            r#"{"a":]"#,
            r#"["token"]"#,
            r#"{"a":{"token":"phc_a"}}"#,
            "eyJ0b2tlbiI6",
            r#"{"token":"unfinished\"#,
        ] {
            assert_eq!(peek_token(body.as_bytes()), None, "{body}");
        }
        let far = format!(r#"{{"a":"{}","token":"phc_a"}}"#, "x".repeat(PEEKED_BYTES_MAX));
        assert_eq!(peek_token(far.as_bytes()), None);
    }
}
