//! The tolerant reader: JSON5 and everything else that `http.md` 5.4 accepts beyond strict JSON.
//!
//! It runs only when the strict parser refused a body, and it alone decides then. Its nodes name
//! stretches of one text buffer, so that no borrow is held while that buffer grows;
//! [`Json5Scratch::fill_tape`] turns them into the tape that the strict parser would have made.

mod number;
mod text;

use simd_json::{Node, StaticNode, Tape};

use super::scratch::DEPTH_MAX;

/// Which extensions of JSON are read. Both dialects accept lone surrogates and large integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// All of JSON5.
    Json5,
    /// None, for form bodies (`http.md` 5.5).
    Strict,
}

/// The text is not of the dialect, or nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

/// What the reader writes.
#[derive(Default)]
pub(super) struct Json5Scratch {
    pub(super) nodes: Vec<LooseNode>,
    /// All strings, one after the other, unescaped.
    pub(super) text: String,
}

/// A node whose text is a stretch of [`Json5Scratch::text`].
#[derive(Debug, Clone, Copy)]
pub(super) enum LooseNode {
    Text { start: usize, end: usize },
    Other(Node<'static>),
}

impl Json5Scratch {
    /// Reads one document.
    pub(super) fn read(&mut self, document: &str, dialect: Dialect) -> Result<(), Refused> {
        self.nodes.clear();
        self.text.clear();
        let mut reader = Reader {
            rest: document,
            dialect,
            depth: 0,
            out: self,
        };
        reader.value()?;
        reader.skip_blank()?;
        if reader.rest.is_empty() {
            Ok(())
        } else {
            Err(Refused)
        }
    }

    /// Writes what was read last to `tape`.
    pub(super) fn fill_tape<'a>(&'a self, tape: &mut Tape<'a>) {
        tape.0.clear();
        tape.0.extend(self.nodes.iter().map(|node| match *node {
            LooseNode::Text { start, end } => Node::String(&self.text[start..end]),
            LooseNode::Other(node) => node,
        }));
    }
}

struct Reader<'t, 'o> {
    rest: &'t str,
    dialect: Dialect,
    depth: usize,
    out: &'o mut Json5Scratch,
}

impl Reader<'_, '_> {
    fn value(&mut self) -> Result<(), Refused> {
        self.skip_blank()?;
        match self.rest.as_bytes().first().ok_or(Refused)? {
            b'{' => self.composite(b'}', Self::entry),
            b'[' => self.composite(b']', Self::value),
            b'"' => self.string('"'),
            b'\'' if self.tolerant() => self.string('\''),
            b't' => self.literal("true", StaticNode::Bool(true)),
            b'f' => self.literal("false", StaticNode::Bool(false)),
            b'n' => self.literal("null", StaticNode::Null),
            _ => {
                let (number, length) = number::read(self.rest, self.dialect)?;
                self.rest = &self.rest[length..];
                self.push(Node::Static(number));
                Ok(())
            }
        }
    }

    /// An array or object: opening bracket, elements with commas between, closing bracket.
    fn composite(&mut self, close: u8, element: fn(&mut Self) -> Result<(), Refused>) -> Result<(), Refused> {
        if self.depth == DEPTH_MAX {
            return Err(Refused);
        }
        self.depth += 1;
        self.rest = &self.rest[1..];
        let at = self.out.nodes.len();
        self.push(Node::Static(StaticNode::Null));
        let mut len = 0;
        while !self.took(close)? {
            if len > 0 {
                self.expect(b',')?;
                if self.tolerant() && self.took(close)? {
                    break;
                }
            }
            element(self)?;
            len += 1;
        }
        let count = self.out.nodes.len() - at - 1;
        self.out.nodes[at] = LooseNode::Other(if close == b'}' {
            Node::Object { len, count }
        } else {
            Node::Array { len, count }
        });
        self.depth -= 1;
        Ok(())
    }

    fn entry(&mut self) -> Result<(), Refused> {
        self.skip_blank()?;
        match self.rest.as_bytes().first().ok_or(Refused)? {
            b'"' => self.string('"')?,
            b'\'' if self.tolerant() => self.string('\'')?,
            _ if self.tolerant() => self.identifier()?,
            _ => return Err(Refused),
        }
        self.expect(b':')?;
        self.value()
    }

    fn string(&mut self, quote: char) -> Result<(), Refused> {
        let start = self.out.text.len();
        self.rest = text::read_string(&self.rest[1..], quote, self.dialect, &mut self.out.text)?;
        self.push_text(start);
        Ok(())
    }

    fn identifier(&mut self) -> Result<(), Refused> {
        let start = self.out.text.len();
        self.rest = text::read_identifier(self.rest, &mut self.out.text)?;
        self.push_text(start);
        Ok(())
    }

    fn literal(&mut self, name: &str, value: StaticNode) -> Result<(), Refused> {
        self.rest = self.rest.strip_prefix(name).ok_or(Refused)?;
        self.push(Node::Static(value));
        Ok(())
    }

    fn push(&mut self, node: Node<'static>) {
        self.out.nodes.push(LooseNode::Other(node));
    }

    fn push_text(&mut self, start: usize) {
        let end = self.out.text.len();
        self.out.nodes.push(LooseNode::Text { start, end });
    }

    fn tolerant(&self) -> bool {
        self.dialect == Dialect::Json5
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Refused> {
        if self.took(wanted)? { Ok(()) } else { Err(Refused) }
    }

    /// Skips blanks; takes the next byte if it is the ASCII byte `wanted`.
    fn took(&mut self, wanted: u8) -> Result<bool, Refused> {
        self.skip_blank()?;
        let found = self.rest.as_bytes().first() == Some(&wanted);
        if found {
            self.rest = &self.rest[1..];
        }
        Ok(found)
    }

    /// Skips blanks and, in JSON5, comments. An unfinished comment is an error.
    fn skip_blank(&mut self) -> Result<(), Refused> {
        if !self.tolerant() {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
            return Ok(());
        }
        loop {
            self.rest = self.rest.trim_start_matches(is_blank);
            if let Some(comment) = self.rest.strip_prefix("/*") {
                let end = memchr::memmem::find(comment.as_bytes(), b"*/").ok_or(Refused)?;
                self.rest = &comment[end + 2..];
            } else if let Some(comment) = self.rest.strip_prefix("//") {
                self.rest = comment.find(is_line_end).map_or("", |end| &comment[end..]);
            } else {
                return Ok(());
            }
        }
    }
}

/// White space of JSON5: the ASCII blanks, line ends, U+FEFF and the space separators of Unicode.
fn is_blank(letter: char) -> bool {
    match letter {
        '\t' | '\u{b}' | '\u{c}' | ' ' => true,
        '\u{a0}' | '\u{feff}' | '\u{1680}' | '\u{2000}'..='\u{200a}' => true,
        '\u{202f}' | '\u{205f}' | '\u{3000}' => true,
        other => is_line_end(other),
    }
}

fn is_line_end(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests;
