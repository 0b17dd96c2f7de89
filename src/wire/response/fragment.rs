//! The pieces of a flag's JSON, serialised at load, each piece once (`decisions.md` 10).
//!
//! A detailed record is the head with key and metadata up to the payload, the outcome from the payload to the variant, and the
//! reason. Outcomes that all flags share stand before each reason already (`reason.rs`), so that most records are two copies. The
//! older shapes use stretches of the same bytes: a head begins with `"key":`, an outcome with the payload, and contains the value.

use std::ops::Range;

use super::append::Head;
use crate::engine::value::write_json_string;
use crate::engine::{CompiledProject, Flag, FlagValue};

/// Fragments of one project in one block of memory.
#[derive(Debug, Default)]
pub struct Fragments {
    bytes: Box<[u8]>,
    flags: Box<[FlagFragments]>,
    outcomes: Box<[Outcome]>,
}

/// One flag's head, and where its other pieces are.
#[derive(Debug)]
pub struct FlagFragments {
    head: Head,
    /// Bytes of the head that are `"key":`.
    key: u32,
    /// First of the flag's own outcomes: on, declined early access, then one a variant.
    outcomes: u32,
    /// Whether an answer without a variant has a payload.
    has_payload: bool,
}

/// A record from its payload to its variant.
pub(super) enum Middle<'f> {
    /// That of every flag that is off.
    Off,
    /// That of every flag that is on without variant and payload.
    On,
    /// This text.
    Own(&'f [u8]),
}

#[derive(Debug, Clone, Copy)]
struct Outcome {
    text: Span,
    /// Bytes at the front that are the payload.
    payload: u32,
    /// The value within the text: `true`, `false` or the quoted variant.
    value: Span,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    from: u32,
    to: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.from as usize..self.to as usize
    }
}

/// The text of [`Middle::Off`].
pub(super) const OFF_TEXT: &str = "null},\"enabled\":false,\"variant\":null,";

/// The text of [`Middle::On`].
pub(super) const ON_TEXT: &str = "null},\"enabled\":true,\"variant\":null,";

/// Outcomes at the front of the table that every flag shares.
const OFF: usize = 0;
const FAILED: usize = 1;

impl Fragments {
    /// Serialises every piece of a project.
    #[must_use]
    pub fn build(project: &CompiledProject) -> Self {
        let mut builder = Builder::default();
        builder.outcome("null", Value::Bool(false), false);
        builder.outcome("null", Value::Bool(false), true);
        let plain = builder.outcome("null", Value::Bool(true), false);
        let flags = project
            .flags()
            .iter()
            .map(|flag| builder.flag(flag, plain))
            .collect();
        Self {
            bytes: builder.bytes.into_bytes().into(),
            flags,
            outcomes: builder.outcomes.into(),
        }
    }

    /// Appends a record up to its payload, `"key":{…`, and returns what comes up to its reason.
    #[inline]
    pub(super) fn write_head(&self, flag: usize, value: FlagValue, out: &mut Vec<u8>) -> Middle<'_> {
        let fragments = &self.flags[flag];
        fragments.head.append(out);
        match value {
            FlagValue::Off => Middle::Off,
            FlagValue::On if !fragments.has_payload => Middle::On,
            value => Middle::Own(&self.bytes[self.outcome(flag, value).text.range()]),
        }
    }

    /// Appends `"key":` and the value.
    pub fn write_value(&self, flag: usize, value: FlagValue, out: &mut Vec<u8>) {
        out.extend_from_slice(self.key(flag));
        out.extend_from_slice(&self.bytes[self.outcome(flag, value).value.range()]);
    }

    /// Appends `"key":` and the payload if there is one; returns whether there is.
    pub fn write_payload(&self, flag: usize, value: FlagValue, out: &mut Vec<u8>) -> bool {
        let payload = self.payload(flag, value);
        if payload == b"null" {
            return false;
        }
        out.extend_from_slice(self.key(flag));
        out.extend_from_slice(payload);
        true
    }

    /// Appends the quoted key.
    pub fn write_key(&self, flag: usize, out: &mut Vec<u8>) {
        let key = self.key(flag);
        out.extend_from_slice(&key[..key.len() - 1]);
    }

    /// The payload of an outcome, `null` for none.
    #[must_use]
    pub fn payload(&self, flag: usize, value: FlagValue) -> &[u8] {
        let outcome = self.outcome(flag, value);
        &self.bytes[outcome.text.range()][..outcome.payload as usize]
    }

    fn key(&self, flag: usize) -> &[u8] {
        let fragments = &self.flags[flag];
        fragments.head.start(fragments.key as usize)
    }

    #[inline]
    fn outcome(&self, flag: usize, value: FlagValue) -> &Outcome {
        let own = self.flags[flag].outcomes as usize;
        &self.outcomes[match value {
            FlagValue::Off => OFF,
            FlagValue::Failed => FAILED,
            FlagValue::On => own,
            FlagValue::OffWithPayload => own + 1,
            FlagValue::Variant(variant) => own + 2 + usize::from(variant.0),
        }]
    }

    /// Heap bytes held.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let heads: usize = self.flags.iter().map(|flag| flag.head.heap_bytes()).sum();
        self.bytes.len() + heads + size_of_val(&*self.flags) + size_of_val(&*self.outcomes)
    }
}

#[derive(Default)]
struct Builder {
    bytes: String,
    outcomes: Vec<Outcome>,
}

enum Value<'v> {
    Bool(bool),
    Variant(&'v str),
}

impl Builder {
    fn at(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// `payload},"enabled":…,"variant":…,` and, for failures, `"failed":true,`.
    fn outcome(&mut self, payload: &str, value: Value<'_>, failed: bool) -> Outcome {
        let from = self.at();
        self.bytes.push_str(payload);
        self.bytes.push_str("},\"enabled\":");
        let mut at = self.at();
        self.bytes.push_str(if matches!(value, Value::Bool(false)) {
            "false"
        } else {
            "true"
        });
        let mut to = self.at();
        self.bytes.push_str(",\"variant\":");
        match value {
            Value::Bool(_) => self.bytes.push_str("null"),
            Value::Variant(variant) => {
                at = self.at();
                write_json_string(variant, &mut self.bytes);
                to = self.at();
            }
        }
        self.bytes.push(',');
        if failed {
            self.bytes.push_str("\"failed\":true,");
        }
        let outcome = Outcome {
            text: Span { from, to: self.at() },
            payload: payload.len() as u32,
            value: Span { from: at, to },
        };
        self.outcomes.push(outcome);
        outcome
    }

    fn flag(&mut self, flag: &Flag, plain: Outcome) -> FlagFragments {
        let mut head = String::new();
        write_json_string(&flag.key, &mut head);
        head.push(':');
        let key = head.len() as u32;
        head.push_str("{\"key\":");
        write_json_string(&flag.key, &mut head);
        let mut digits = itoa::Buffer::new();
        head.push_str(",\"metadata\":{\"id\":");
        head.push_str(digits.format(flag.id));
        head.push_str(",\"version\":");
        // The Rust SDK reads an unsigned number; a negative version cannot come from PostHog.
        head.push_str(digits.format(flag.version.max(0)));
        head.push_str(",\"description\":null");
        if let Some(has_experiment) = flag.has_experiment {
            head.push_str(",\"has_experiment\":");
            head.push_str(if has_experiment { "true" } else { "false" });
        }
        head.push_str(",\"payload\":");

        let outcomes = self.outcomes.len() as u32;
        match flag.payload.as_deref() {
            None => {
                self.outcomes.push(plain);
                self.outcomes.push(self.outcomes[OFF]);
            }
            Some(payload) => {
                self.outcome(payload, Value::Bool(true), false);
                self.outcome(payload, Value::Bool(false), false);
            }
        }
        for (variant, payload) in flag.variants.iter().zip(&flag.variant_payloads) {
            self.outcome(
                payload.as_deref().unwrap_or("null"),
                Value::Variant(variant),
                false,
            );
        }
        FlagFragments {
            head: Head::new(head.as_bytes()),
            key,
            outcomes,
            has_payload: flag.payload.is_some(),
        }
    }
}
