//! JSON values as the engine sees them: borrowed, flat, never a tree.
//!
//! A parsed document is a tape: a slice of nodes in document order, strings borrowed from the
//! buffer that was parsed. [`PropertyValue`] is one value of it, small enough to be copied into a
//! property slot; [`Object`] and [`Array`] walk a stretch of tape. Nothing here allocates, except
//! [`PropertyValue::text`] for composites and numbers, which writes into a buffer of the caller.

use std::borrow::Cow;
use std::fmt::Write as _;

pub use simd_json::{Node, StaticNode};

/// One JSON value. `Copy`: scalars are inline, composites are a stretch of tape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PropertyValue<'a> {
    /// JSON `null`. A key that holds null is present.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that fits 64 signed bits.
    I64(i64),
    /// An integer above `i64::MAX` that fits 64 unsigned bits.
    U64(u64),
    /// Any other finite number; keeps its float form (`5.0` is not `5`).
    F64(f64),
    /// A string, unescaped.
    Str(&'a str),
    /// An array; the slice starts at its own node.
    Array(Array<'a>),
    /// An object; the slice starts at its own node.
    Object(Object<'a>),
}

/// An array on a tape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Array<'a>(&'a [Node<'a>]);

/// An object on a tape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object<'a>(&'a [Node<'a>]);

/// How many nodes the value that starts at `nodes[0]` covers, itself included.
fn span(node: &Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    }
}

impl<'a> PropertyValue<'a> {
    /// Reads the value that starts at `nodes[0]`.
    ///
    /// # Panics
    /// When `nodes` is empty or not a well-formed tape; tapes come from the decoder only.
    #[must_use]
    pub fn from_tape(nodes: &'a [Node<'a>]) -> Self {
        match nodes[0] {
            Node::String(text) => Self::Str(text),
            Node::Static(StaticNode::Null) => Self::Null,
            Node::Static(StaticNode::Bool(value)) => Self::Bool(value),
            Node::Static(StaticNode::I64(value)) => Self::I64(value),
            Node::Static(StaticNode::U64(value)) => i64::try_from(value).map_or(Self::U64(value), Self::I64),
            Node::Static(StaticNode::F64(value)) if value.is_finite() => Self::F64(value),
            Node::Static(StaticNode::F64(_)) => Self::Null,
            Node::Array { count, .. } => Self::Array(Array(&nodes[..=count])),
            Node::Object { count, .. } => Self::Object(Object(&nodes[..=count])),
        }
    }

    /// The text form of `evaluation.md` 12.1, written into `buffer` unless it is borrowed anyway.
    /// `buffer` is cleared first.
    #[must_use]
    pub fn text<'b>(&self, buffer: &'b mut String) -> &'b str
    where
        'a: 'b,
    {
        match *self {
            Self::Str(text) => text,
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Null => "null",
            Self::I64(_) | Self::U64(_) | Self::F64(_) | Self::Array(_) | Self::Object(_) => {
                buffer.clear();
                self.write_text(buffer);
                buffer
            }
        }
    }

    /// Appends the text form of `evaluation.md` 12.1 (strings without quotes at the top level).
    pub fn write_text(&self, out: &mut String) {
        match self {
            Self::Str(text) => out.push_str(text),
            other => other.write_json(out),
        }
    }

    /// Appends compact JSON: no blanks, object keys sorted, the last of equal keys kept.
    pub fn write_json(&self, out: &mut String) {
        match *self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Self::I64(value) => out.push_str(itoa::Buffer::new().format(value)),
            Self::U64(value) => out.push_str(itoa::Buffer::new().format(value)),
            Self::F64(value) => out.push_str(zmij::Buffer::new().format_finite(value)),
            Self::Str(text) => write_json_string(text, out),
            Self::Array(array) => {
                out.push('[');
                for (index, value) in array.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write_json(out);
                }
                out.push(']');
            }
            Self::Object(object) => {
                let sorted: std::collections::BTreeMap<&str, PropertyValue<'_>> = object.iter().collect();
                out.push('{');
                for (index, (key, value)) in sorted.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_json_string(key, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

/// Appends `text` as a JSON string with quotes and the short escapes.
pub fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            other => write!(out, "\\u{other:04x}").unwrap_or_default(),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

impl<'a> Array<'a> {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0[0] {
            Node::Array { len, .. } => len,
            _ => 0,
        }
    }

    /// Whether it has no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = PropertyValue<'a>> + use<'a> {
        let mut rest = &self.0[1..];
        std::iter::from_fn(move || {
            let node = rest.first()?;
            let (value, tail) = rest.split_at(span(node));
            rest = tail;
            Some(PropertyValue::from_tape(value))
        })
    }
}

impl<'a> Object<'a> {
    /// Number of entries, duplicates counted.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0[0] {
            Node::Object { len, .. } => len,
            _ => 0,
        }
    }

    /// Whether it has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries in document order, duplicates included: the last one of a key counts.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, PropertyValue<'a>)> + use<'a> {
        let mut rest = &self.0[1..];
        std::iter::from_fn(move || {
            let key = match rest.first()? {
                Node::String(key) => *key,
                _ => return None,
            };
            let tail = &rest[1..];
            let (value, tail) = tail.split_at(span(tail.first()?));
            rest = tail;
            Some((key, PropertyValue::from_tape(value)))
        })
    }

    /// The value of `key`; the last one where a key stands twice.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<PropertyValue<'a>> {
        self.iter()
            .filter(|(name, _)| *name == key)
            .map(|(_, value)| value)
            .last()
    }
}

/// An owned document: JSON text parsed once into a tape of its own, for values that outlive the
/// buffer they came in (stored persons and groups, filter values).
#[derive(Debug, Default)]
pub struct OwnedTape {
    nodes: Vec<OwnedNode>,
}

#[derive(Debug)]
enum OwnedNode {
    Text(Box<str>),
    Other(Node<'static>),
}

impl OwnedTape {
    /// Flattens a parsed JSON value.
    #[must_use]
    pub fn from_json(value: &serde_json::Value) -> Self {
        let mut tape = Self::default();
        tape.push(value);
        tape
    }

    fn push(&mut self, value: &serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::Null => self.push_static(StaticNode::Null),
            Value::Bool(value) => self.push_static(StaticNode::Bool(*value)),
            Value::Number(number) => self.push_static(if let Some(value) = number.as_i64() {
                StaticNode::I64(value)
            } else if let Some(value) = number.as_u64() {
                StaticNode::U64(value)
            } else {
                number.as_f64().map_or(StaticNode::Null, StaticNode::F64)
            }),
            Value::String(text) => self.nodes.push(OwnedNode::Text(text.as_str().into())),
            Value::Array(values) => {
                let at = self.nodes.len();
                self.push_static(StaticNode::Null);
                for value in values {
                    self.push(value);
                }
                let count = self.nodes.len() - at - 1;
                self.nodes[at] = OwnedNode::Other(Node::Array {
                    len: values.len(),
                    count,
                });
            }
            Value::Object(entries) => {
                let at = self.nodes.len();
                self.push_static(StaticNode::Null);
                for (key, value) in entries {
                    self.nodes.push(OwnedNode::Text(key.as_str().into()));
                    self.push(value);
                }
                let count = self.nodes.len() - at - 1;
                self.nodes[at] = OwnedNode::Other(Node::Object {
                    len: entries.len(),
                    count,
                });
            }
        }
    }

    fn push_static(&mut self, node: StaticNode) {
        self.nodes.push(OwnedNode::Other(Node::Static(node)));
    }

    /// Borrows the document as nodes; the vector is what [`PropertyValue::from_tape`] reads.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node<'_>> {
        self.nodes
            .iter()
            .map(|node| match node {
                OwnedNode::Text(text) => Node::String(text),
                OwnedNode::Other(node) => *node,
            })
            .collect()
    }
}

/// Lower-cases as `exact` does (full Unicode), without allocating for ASCII that is lower already.
#[must_use]
pub fn to_lowercase(text: &str) -> Cow<'_, str> {
    if text
        .bytes()
        .any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())
    {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}
