//! Which project tokens the hashes of a recording stand for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Write};

use crate::recording::{HASH_DIGITS, TOKEN_HASH_PREFIX, token_hashes};

/// Tokens by their hashes.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    by_hash: HashMap<String, String>,
    /// For every hash that is not named.
    any: Option<String>,
}

/// Why a token cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// Nothing says what this hash stands for.
    Unnamed,
    /// Neither `HASH=TOKEN` nor a token.
    Malformed,
}

impl fmt::Display for TokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unnamed => "a hashed project token that nothing names",
            Self::Malformed => "expected HASH=TOKEN, or one TOKEN for every hash that is not named",
        })
    }
}

impl std::error::Error for TokenError {}

impl Tokens {
    /// Adds `HASH=TOKEN`, or a token for every hash that is not named, which can be given once.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn add(&mut self, text: &str) -> Result<(), TokenError> {
        let text = text.trim();
        let is_token = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        match text.split_once('=') {
            Some((hash, token)) if is_hash(hash) && is_token(token) => {
                self.by_hash.insert(hash.to_owned(), token.to_owned());
                Ok(())
            }
            None if is_token(text) && self.any.is_none() => {
                self.any = Some(text.to_owned());
                Ok(())
            }
            _ => Err(TokenError::Malformed),
        }
    }

    /// Adds a token by its hash.
    pub fn insert(&mut self, hash: String, token: String) {
        self.by_hash.insert(hash, token);
    }

    fn token(&self, hash: &str) -> Result<&str, TokenError> {
        self.by_hash
            .get(hash)
            .or(self.any.as_ref())
            .map(String::as_str)
            .ok_or(TokenError::Unnamed)
    }

    /// A text with tokens in the place of hashes.
    ///
    /// # Errors
    /// When one is not named.
    pub fn restore<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, TokenError> {
        self.replace(text, |out, token| out.push_str(token))
    }

    /// The same for JSON: tokens are escaped.
    ///
    /// # Errors
    /// When one is not named.
    pub fn restore_json<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, TokenError> {
        self.replace(text, |out, token| {
            for letter in token.chars() {
                if matches!(letter, '"' | '\\') {
                    out.push('\\');
                }
                out.push(letter);
            }
        })
    }

    /// The same for a query: tokens are percent-encoded.
    ///
    /// # Errors
    /// When one is not named.
    pub fn restore_query<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, TokenError> {
        self.replace(text, |out, token| {
            for byte in token.bytes() {
                if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') {
                    out.push(char::from(byte));
                } else {
                    // Writing to a string does not fail.
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        })
    }

    fn replace<'t>(
        &self,
        text: &'t str,
        write: impl Fn(&mut String, &str),
    ) -> Result<Cow<'t, str>, TokenError> {
        let mut out = String::new();
        let mut copied = 0;
        for (at, hash) in token_hashes(text) {
            out.push_str(text.get(copied..at).unwrap_or_default());
            write(&mut out, self.token(hash)?);
            copied = at + hash.len();
        }
        if copied == 0 {
            return Ok(Cow::Borrowed(text));
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        Ok(Cow::Owned(out))
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == TOKEN_HASH_PREFIX.len() + HASH_DIGITS && token_hashes(text).next().is_some()
}
