//! One object of a document: typed reads that report what they do not understand.

use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::notes::Notes;
use super::path::Path;

/// An object whose members are taken one by one; what is left at the end is unknown.
pub(super) struct Object<'a, 'p> {
    pub(super) path: &'p Path<'p>,
    members: Vec<(String, &'a RawValue)>,
}

impl<'a, 'p> Object<'a, 'p> {
    /// Opens an object. Anything else, or a key that stands twice, is a problem.
    pub(super) fn open(path: &'p Path<'p>, raw: &'a RawValue, notes: &mut Notes) -> Option<Self> {
        if !raw.get().starts_with('{') {
            notes.problem(path, raw.get(), "an object");
            return None;
        }
        let members = match serde_json::Deserializer::from_str(raw.get()).deserialize_map(Members) {
            Ok(members) => members,
            Err(error) => {
                notes.problem(path, raw.get(), format!("valid JSON ({error})"));
                return None;
            }
        };
        let mut object = Self { path, members };
        object.report_duplicates(notes);
        Some(object)
    }

    fn report_duplicates(&mut self, notes: &mut Notes) {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by(|left, right| self.members[*left].0.cmp(&self.members[*right].0));
        for pair in order.windows(2) {
            let (key, raw) = &self.members[pair[1]];
            if self.members[pair[0]].0 == *key {
                notes.problem(&self.path.key(key), raw.get(), "the key only once");
            }
        }
    }

    /// Takes a member; JSON null counts as absent.
    pub(super) fn take(&mut self, key: &str) -> Option<&'a RawValue> {
        let position = self.members.iter().position(|(name, _)| name == key)?;
        let (_, raw) = self.members.swap_remove(position);
        (raw.get() != "null").then_some(raw)
    }

    /// Takes all members, for objects that are maps.
    pub(super) fn into_members(self) -> Vec<(String, &'a RawValue)> {
        self.members
    }

    /// Warns about every member that nobody took.
    pub(super) fn finish(mut self, notes: &mut Notes) {
        self.members.sort_by(|left, right| left.0.cmp(&right.0));
        for (key, _) in &self.members {
            notes.warn(&self.path.key(key), "unknown key, not stored");
        }
    }

    /// Reports a required member as absent.
    pub(super) fn require<T>(
        &self,
        key: &str,
        value: Option<T>,
        expected: &str,
        notes: &mut Notes,
    ) -> Option<T> {
        if value.is_none() {
            notes.problem(&self.path.key(key), "", expected);
        }
        value
    }

    /// Text of at most `chars_max` characters.
    pub(super) fn text(&mut self, key: &str, chars_max: usize, notes: &mut Notes) -> Option<String> {
        let raw = self.take(key)?;
        text_of(&self.path.key(key), raw, chars_max, notes)
    }

    /// Text of one to `chars_max` characters that must be there.
    pub(super) fn required_text(&mut self, key: &str, chars_max: usize, notes: &mut Notes) -> Option<String> {
        let raw = self.take(key);
        let text = raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let text = text.filter(|text| !text.is_empty() && text.chars().count() <= chars_max);
        if text.is_none() {
            let given = raw.map(RawValue::get).unwrap_or_default();
            notes.problem(
                &self.path.key(key),
                given,
                format!("text of 1 to {chars_max} characters"),
            );
        }
        text
    }

    /// An integer from `low` to `high` that must be there.
    pub(super) fn required_integer(
        &mut self,
        key: &str,
        low: i64,
        high: i64,
        notes: &mut Notes,
    ) -> Option<i64> {
        match self.take(key) {
            Some(raw) => integer_of(&self.path.key(key), raw, low, high, notes),
            None => self.require(key, None, &format!("an integer from {low} to {high}"), notes),
        }
    }

    /// An integer from `low` to `high`.
    pub(super) fn integer(&mut self, key: &str, low: i64, high: i64, notes: &mut Notes) -> Option<i64> {
        let raw = self.take(key)?;
        integer_of(&self.path.key(key), raw, low, high, notes)
    }

    /// A positive 32-bit row id.
    pub(super) fn id(&mut self, key: &str, notes: &mut Notes) -> Option<i32> {
        let id = self.integer(key, 1, i64::from(i32::MAX), notes)?;
        i32::try_from(id).ok()
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &str, notes: &mut Notes) -> Option<bool> {
        let raw = self.take(key)?;
        match raw.get() {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                notes.problem(&self.path.key(key), other, "true or false");
                None
            }
        }
    }

    /// The text of a UUID, in its canonical form.
    pub(super) fn uuid(&mut self, key: &str, notes: &mut Notes) -> Option<String> {
        let raw = self.take(key)?;
        let parsed = serde_json::from_str::<String>(raw.get()).ok();
        let parsed = parsed.and_then(|text| uuid::Uuid::try_parse(&text).ok());
        if parsed.is_none() {
            notes.problem(&self.path.key(key), raw.get(), "a UUID");
        }
        parsed.map(|uuid| uuid.hyphenated().to_string())
    }

    /// Any JSON, kept as its text.
    pub(super) fn json(&mut self, key: &str, notes: &mut Notes) -> Option<&'a str> {
        let raw = self.take(key)?;
        value_of(&self.path.key(key), raw, notes).map(|_| raw.get())
    }

    /// A JSON object, kept as its text.
    pub(super) fn json_object(&mut self, key: &str, notes: &mut Notes) -> Option<&'a str> {
        let raw = self.take(key)?;
        match value_of(&self.path.key(key), raw, notes)? {
            Value::Object(_) => Some(raw.get()),
            _ => {
                notes.problem(&self.path.key(key), raw.get(), "an object");
                None
            }
        }
    }

    /// The elements of an array; absent is empty.
    pub(super) fn array(&mut self, key: &str, notes: &mut Notes) -> Vec<&'a RawValue> {
        let Some(raw) = self.take(key) else {
            return Vec::new();
        };
        elements_of(&self.path.key(key), raw, notes)
    }

    /// An array of texts; `None` when absent.
    pub(super) fn texts(&mut self, key: &str, chars_max: usize, notes: &mut Notes) -> Option<Vec<String>> {
        let raw = self.take(key)?;
        let path = self.path.key(key);
        let texts = elements_of(&path, raw, notes).into_iter().enumerate();
        Some(
            texts
                .filter_map(|(index, raw)| text_of(&path.index(index), raw, chars_max, notes))
                .collect(),
        )
    }
}

/// Text of at most `chars_max` characters.
pub(super) fn text_of(
    path: &Path<'_>,
    raw: &RawValue,
    chars_max: usize,
    notes: &mut Notes,
) -> Option<String> {
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) if text.chars().count() <= chars_max => Some(text),
        _ => {
            notes.problem(path, raw.get(), format!("text of at most {chars_max} characters"));
            None
        }
    }
}

/// An integer from `low` to `high`.
pub(super) fn integer_of(
    path: &Path<'_>,
    raw: &RawValue,
    low: i64,
    high: i64,
    notes: &mut Notes,
) -> Option<i64> {
    match serde_json::from_str::<i64>(raw.get()) {
        Ok(number) if (low..=high).contains(&number) => Some(number),
        _ => {
            notes.problem(path, raw.get(), format!("an integer from {low} to {high}"));
            None
        }
    }
}

/// The elements of an array.
pub(super) fn elements_of<'a>(path: &Path<'_>, raw: &'a RawValue, notes: &mut Notes) -> Vec<&'a RawValue> {
    serde_json::from_str::<Vec<&RawValue>>(raw.get()).unwrap_or_else(|_| {
        notes.problem(path, raw.get(), "an array");
        Vec::new()
    })
}

/// The value as a tree. Fails for what no reader of the store could parse again: lone surrogates,
/// numbers beyond a double, nesting beyond serde_json's bound of 128.
pub(super) fn value_of(path: &Path<'_>, raw: &RawValue, notes: &mut Notes) -> Option<Value> {
    match serde_json::from_str(raw.get()) {
        Ok(value) => Some(value),
        Err(error) => {
            notes.problem(path, raw.get(), format!("storable JSON ({error})"));
            None
        }
    }
}

/// Reads members in order and keeps duplicates.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
