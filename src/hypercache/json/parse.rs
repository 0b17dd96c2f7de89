//! Strict JSON text to a tree, bounded in depth.

use std::borrow::Cow;
use std::fmt;

use super::{Json, Members};

/// Arrays and objects within each other; documents of flags need about ten.
const DEPTH_MAX: usize = 200;

/// Text that is no JSON that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// Not JSON from this byte on.
    Syntax(usize),
    /// More than 200 levels.
    TooDeep,
    /// Longer than the limit, in bytes.
    TooLong(usize),
}

impl fmt::Display for JsonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(at) => write!(formatter, "not JSON at byte {at}"),
            Self::TooDeep => write!(formatter, "JSON of more than {DEPTH_MAX} levels"),
            Self::TooLong(limit) => write!(formatter, "JSON of more than {limit} bytes"),
        }
    }
}

impl std::error::Error for JsonError {}

impl<'a> Json<'a> {
    /// Reads a whole text of at most `bytes_max` bytes. Half a surrogate pair is an error: no database holds one.
    ///
    /// # Errors
    /// When the text is no JSON, or too long or too deep.
    pub fn parse(text: &'a str, bytes_max: usize) -> Result<Self, JsonError> {
        if text.len() > bytes_max {
            return Err(JsonError::TooLong(bytes_max));
        }
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(0)?;
        parser.space();
        if parser.at == text.len() {
            Ok(value)
        } else {
            parser.fail()
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn fail<T>(&self) -> Result<T, JsonError> {
        Err(JsonError::Syntax(self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn since(&self, start: usize) -> Result<&'a str, JsonError> {
        self.text.get(start..self.at).ok_or(JsonError::Syntax(start))
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return self.fail();
        }
        self.at += word.len();
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        let mut elements = Vec::new();
        self.space();
        if self.skip(b']') {
            return Ok(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth)?);
            self.space();
            if self.skip(b']') {
                return Ok(Json::Array(elements));
            }
            if !self.skip(b',') {
                return self.fail();
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        let mut members = Members::new();
        self.space();
        if self.skip(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            if !self.skip(b':') {
                return self.fail();
            }
            let value = self.value(depth)?;
            members.insert(name, value);
            self.space();
            if self.skip(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.skip(b',') {
                return self.fail();
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.fail() } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Json<'a>, JsonError> {
        let start = self.at;
        self.skip(b'-');
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _ = self.skip(b'+') || self.skip(b'-');
            self.digits()?;
        }
        Ok(Json::Number(Cow::Borrowed(self.since(start)?)))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if !self.skip(b'"') {
            return self.fail();
        }
        let mut start = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let last = self.since(start)?;
                    self.at += 1;
                    return Ok(match unescaped {
                        None => Cow::Borrowed(last),
                        Some(text) => Cow::Owned(text + last),
                    });
                }
                Some(b'\\') => {
                    let before = self.since(start)?;
                    self.at += 1;
                    let character = self.escape()?;
                    let text = unescaped.get_or_insert_default();
                    text.push_str(before);
                    text.push(character);
                    start = self.at;
                }
                Some(0x20..) => self.at += 1,
                _ => return self.fail(),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(kind) = self.peek() else {
            return self.fail();
        };
        self.at += 1;
        Ok(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return self.fail(),
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.unit()?;
        let mut units = [first, 0];
        let mut count = 1;
        if (0xd800..0xdc00).contains(&first) {
            if !(self.skip(b'\\') && self.skip(b'u')) {
                return self.fail();
            }
            units[1] = self.unit()?;
            count = 2;
        }
        let mut characters = char::decode_utf16(units.into_iter().take(count));
        match (characters.next(), characters.next()) {
            (Some(Ok(character)), None) => Ok(character),
            _ => self.fail(),
        }
    }

    fn unit(&mut self) -> Result<u16, JsonError> {
        let start = self.at;
        let digits = self.text.as_bytes().get(start..start + 4);
        // `from_str_radix` alone would take a sign.
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        self.at += 4;
        unit.ok_or(JsonError::Syntax(start))
    }
}
