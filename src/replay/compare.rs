//! What differs between two answers to one request.

use std::fmt;

use serde_json::Value;

use super::answer::{Answer, FlagAnswer, Parsed};

/// Characters of a value that a difference shows.
const SHOWN_CHARS_MAX: usize = 200;

/// What a difference is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The answer as a whole.
    Answer,
    /// One flag.
    Flag(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => out.write_str("(answer)"),
            Self::Flag(key) => out.write_str(key),
        }
    }
}

/// In what two answers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Only one server answered at all.
    Transport,
    /// The status.
    Status,
    /// The content type.
    ContentType,
    /// The flag is in one answer only.
    Presence,
    /// The value.
    Value,
    /// The variant.
    Variant,
    /// The reason's code.
    Reason,
    /// The index of the condition.
    ConditionIndex,
    /// The payload.
    Payload,
    /// Another field.
    Other,
    /// Nothing but the bytes: order, blanks, escapes.
    Bytes,
}

impl Field {
    /// As reports have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Status => "status",
            Self::ContentType => "content_type",
            Self::Presence => "presence",
            Self::Value => "value",
            Self::Variant => "variant",
            Self::Reason => "reason",
            Self::ConditionIndex => "condition_index",
            Self::Payload => "payload",
            Self::Other => "other",
            Self::Bytes => "bytes",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Of what.
    pub subject: Subject,
    /// In what.
    pub field: Field,
    /// What the first server has, shortened.
    pub a: String,
    /// What the second server has, shortened.
    pub b: String,
}

/// Whether answers that mean the same must also be written the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// They must.
    Matter,
    /// Only what is meant is compared.
    Ignored,
}

impl Difference {
    /// With values shortened.
    #[must_use]
    pub fn new(subject: Subject, field: Field, a: &str, b: &str) -> Self {
        Self {
            subject,
            field,
            a: shortened(a),
            b: shortened(b),
        }
    }
}

/// Everything in which two answers differ. Fields that differ by nature (`requestId`, `evaluatedAt`) and headers other than
/// `Content-Type` are left out.
#[must_use]
pub fn compare(a: &Answer, b: &Answer, bytes: Bytes) -> Vec<Difference> {
    let mut found = Vec::new();
    if a.status != b.status {
        let (a, b) = (a.status.to_string(), b.status.to_string());
        found.push(Difference::new(Subject::Answer, Field::Status, &a, &b));
        // The bodies then differ for that reason.
        return found;
    }
    if a.content_type != b.content_type {
        found.push(Difference::new(
            Subject::Answer,
            Field::ContentType,
            &a.content_type,
            &b.content_type,
        ));
    }
    if a.body == b.body {
        return found;
    }
    let (steady_a, steady_b) = (a.steady_bytes(), b.steady_bytes());
    if steady_a == steady_b {
        return found;
    }
    let before = found.len();
    match (a.parse(), b.parse()) {
        (Some(a), Some(b)) => {
            flags(&a, &b, bytes, &mut found);
            rest(&a, &b, bytes, &mut found);
        }
        _ => {
            let (a, b) = around_difference(&steady_a, &steady_b);
            found.push(Difference::new(Subject::Answer, Field::Other, &a, &b));
        }
    }
    if found.len() == before && bytes == Bytes::Matter {
        let (a, b) = around_difference(&steady_a, &steady_b);
        found.push(Difference::new(Subject::Answer, Field::Bytes, &a, &b));
    }
    found
}

fn flags(a: &Parsed, b: &Parsed, bytes: Bytes, found: &mut Vec<Difference>) {
    for (key, ours) in &a.flags {
        match b.flags.get(key) {
            Some(theirs) => flag(key, ours, theirs, bytes, found),
            None => found.push(presence(key, &ours.record.to_string(), "absent")),
        }
    }
    for (key, theirs) in &b.flags {
        if !a.flags.contains_key(key) {
            found.push(presence(key, "absent", &theirs.record.to_string()));
        }
    }
}

fn presence(key: &str, a: &str, b: &str) -> Difference {
    Difference::new(Subject::Flag(key.to_owned()), Field::Presence, a, b)
}

fn flag(key: &str, a: &FlagAnswer, b: &FlagAnswer, bytes: Bytes, found: &mut Vec<Difference>) {
    let before = found.len();
    let subject = || Subject::Flag(key.to_owned());
    for (field, a, b) in [
        (Field::Value, Some(&a.value), Some(&b.value)),
        (Field::Variant, a.variant.as_ref(), b.variant.as_ref()),
        (Field::Reason, a.reason.as_ref(), b.reason.as_ref()),
        (
            Field::ConditionIndex,
            a.condition_index.as_ref(),
            b.condition_index.as_ref(),
        ),
        (Field::Payload, a.payload.as_ref(), b.payload.as_ref()),
    ] {
        if a != b {
            found.push(Difference::new(subject(), field, &shown(a), &shown(b)));
        }
    }
    if found.len() > before {
        return;
    }
    if a.record != b.record {
        let (a, b) = (a.record.to_string(), b.record.to_string());
        let (a, b) = around_difference(a.as_bytes(), b.as_bytes());
        found.push(Difference::new(subject(), Field::Other, &a, &b));
    } else if a.text != b.text && bytes == Bytes::Matter {
        let (a, b) = around_difference(a.text.as_bytes(), b.text.as_bytes());
        found.push(Difference::new(subject(), Field::Bytes, &a, &b));
    }
}

fn rest(a: &Parsed, b: &Parsed, bytes: Bytes, found: &mut Vec<Difference>) {
    let names = a
        .rest
        .keys()
        .chain(b.rest.keys().filter(|name| !a.rest.contains_key(*name)));
    for name in names {
        let (ours, theirs) = (a.rest.get(name), b.rest.get(name));
        let (ours_value, theirs_value) = (ours.map(|field| &field.0), theirs.map(|field| &field.0));
        let field = if ours_value != theirs_value {
            Field::Other
        } else if ours != theirs && bytes == Bytes::Matter {
            Field::Bytes
        } else {
            continue;
        };
        let text = |side: Option<&(Value, String)>| match side {
            Some((_, text)) => format!("{name}: {text}"),
            None => format!("{name}: absent"),
        };
        found.push(Difference::new(
            Subject::Answer,
            field,
            &text(ours),
            &text(theirs),
        ));
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), Value::to_string)
}

/// A stretch of both texts that begins shortly before they part.
fn around_difference(a: &[u8], b: &[u8]) -> (String, String) {
    const BEFORE: usize = 40;
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(BEFORE);
    let part = |bytes: &[u8]| {
        let end = bytes.len().min(from + SHOWN_CHARS_MAX);
        String::from_utf8_lossy(bytes.get(from..end).unwrap_or_default()).into_owned()
    };
    (part(a), part(b))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
