//! A JSON tree that borrows from its text and keeps numbers as they were written.
//!
//! Entries are built from documents that pass through: a number must come out as the database holds it, whatever its
//! size. Members are sorted, because every writer of entries sorts them. `json/parse.rs` reads, `json/write.rs` writes
//! the canonical text.

mod float;
mod parse;
mod write;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use parse::JsonError;

/// Members by name, in the order of code points (which is the order of UTF-8 bytes). Of equal names the last one counts.
pub type Members<'a> = BTreeMap<Cow<'a, str>, Json<'a>>;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// As written.
    Number(Cow<'a, str>),
    /// Unescaped.
    String(Cow<'a, str>),
    /// In order.
    Array(Vec<Json<'a>>),
    /// By name.
    Object(Members<'a>),
}

impl<'a> Json<'a> {
    /// Member of an object; `None` for anything else.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// As [`Json::get`], to edit it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Json<'a>> {
        match self {
            Self::Object(members) => members.get_mut(name),
            _ => None,
        }
    }

    /// Elements; none when it is no array.
    #[must_use]
    pub fn elements(&self) -> &[Json<'a>] {
        match self {
            Self::Array(elements) => elements,
            _ => &[],
        }
    }

    /// As [`Json::elements`], to edit them.
    pub fn elements_mut(&mut self) -> &mut [Json<'a>] {
        match self {
            Self::Array(elements) => elements,
            _ => &mut [],
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// An integer, also one written as a string of digits.
    #[must_use]
    pub fn as_id(&self) -> Option<i64> {
        match self {
            Self::Number(text) | Self::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// `true` or `false`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer.
    #[must_use]
    pub fn integer(value: i64) -> Self {
        Self::Number(Cow::Owned(value.to_string()))
    }

    /// A string, or null.
    #[must_use]
    pub fn text_or_null(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, |text| Self::String(Cow::Borrowed(text)))
    }

    /// An integer, or null.
    #[must_use]
    pub fn integer_or_null(value: Option<i32>) -> Self {
        value.map_or(Self::Null, |value| Self::integer(value.into()))
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }
}

impl From<bool> for Json<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// An object of the given members.
#[must_use]
pub fn object<'a, const N: usize>(members: [(&'a str, Json<'a>); N]) -> Json<'a> {
    let members = members.into_iter();
    Json::Object(
        members
            .map(|(name, value)| (Cow::Borrowed(name), value))
            .collect(),
    )
}
