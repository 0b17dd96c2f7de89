//! An answer, whatever its shape: flags by key, and the rest.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// `Content-Type`, empty if there is none.
    pub content_type: String,
    /// The body as it came.
    pub body: Vec<u8>,
}

/// One flag of an answer. What a shape does not have is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagAnswer {
    /// Variant if there is one, else whether it is on.
    pub value: Value,
    /// `variant`, null included.
    pub variant: Option<Value>,
    /// `reason.code`.
    pub reason: Option<Value>,
    /// `reason.condition_index`, null included.
    pub condition_index: Option<Value>,
    /// Payload, null included where the shape says so.
    pub payload: Option<Value>,
    /// The whole record, as a value.
    pub record: Value,
    /// The whole record, as it stands.
    pub text: String,
}

/// An answer that is a JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// Flags by key.
    pub flags: BTreeMap<String, FlagAnswer>,
    /// Other fields by name, apart from those that differ by nature; as value and as they stand.
    pub rest: BTreeMap<String, (Value, String)>,
}

/// Fields that differ from answer to answer of one server.
pub(super) const VOLATILE: [&str; 2] = ["requestId", "evaluatedAt"];

impl Answer {
    /// Whether the status is one of 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads the body; `None`: it is no JSON object.
    #[must_use]
    pub fn parse(&self) -> Option<Parsed> {
        let mut fields: BTreeMap<String, &RawValue> = serde_json::from_slice(&self.body).ok()?;
        let mut flags = BTreeMap::new();
        if let Some(records) = fields.get("flags").and_then(|raw| object(raw)) {
            fields.remove("flags");
            for (key, raw) in records {
                flags.insert(key, detailed(raw)?);
            }
        } else if let Some(values) = fields.get("featureFlags").copied() {
            let payloads = fields.get("featureFlagPayloads").and_then(|raw| object(raw));
            if payloads.is_some() {
                fields.remove("featureFlagPayloads");
            }
            if let Some(values) = object(values) {
                fields.remove("featureFlags");
                for (key, raw) in values {
                    let payload = payloads.as_ref().and_then(|payloads| payloads.get(&key).copied());
                    flags.insert(key, plain(raw, payload)?);
                }
            } else if let Ok(keys) = serde_json::from_str::<Vec<String>>(values.get()) {
                fields.remove("featureFlags");
                flags.extend(keys.into_iter().map(|key| (key, enabled())));
            }
            // Payloads of flags that have no value.
            for (key, payload) in payloads.into_iter().flatten() {
                flags.entry(key).or_insert(plain_of(Value::Null, Some(payload))?);
            }
        }
        let rest = fields
            .into_iter()
            .filter(|(name, _)| !VOLATILE.contains(&name.as_str()))
            .map(|(name, raw)| Some((name, (value(raw)?, raw.get().to_owned()))))
            .collect::<Option<_>>()?;
        Some(Parsed { flags, rest })
    }

    /// The body with what differs by nature blanked.
    #[must_use]
    pub fn steady_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len());
        let mut rest = &*self.body;
        while let Some(at) = memchr::memchr(b'"', rest) {
            let (before, from) = rest.split_at(at);
            out.extend_from_slice(before);
            let skipped = VOLATILE
                .iter()
                .find_map(|name| Some((name, volatile_field(from, name)?)));
            let taken = match skipped {
                Some((name, length)) => {
                    out.extend_from_slice(format!("\"{name}\":_").as_bytes());
                    length
                }
                None => {
                    out.push(b'"');
                    1
                }
            };
            rest = from.get(taken..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        out
    }
}

/// Bytes of `"name": value` at the start, if that is what stands there.
fn volatile_field(from: &[u8], name: &str) -> Option<usize> {
    let rest = from
        .strip_prefix(b"\"")?
        .strip_prefix(name.as_bytes())?
        .strip_prefix(b"\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let left = match rest.strip_prefix(b"\"") {
        Some(text) => text.get(memchr::memchr(b'"', text)? + 1..)?,
        None => behind_digits(rest)?,
    };
    Some(from.len() - left.len())
}

fn behind_digits(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 { None } else { text.get(length..) }
}

fn object(raw: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

/// A record of version 2.
fn detailed(raw: &RawValue) -> Option<FlagAnswer> {
    let record = value(raw)?;
    let variant = record.get("variant").cloned();
    let enabled = record.get("enabled").cloned().unwrap_or(Value::Null);
    let reason = record.get("reason");
    Some(FlagAnswer {
        value: variant
            .clone()
            .filter(|variant| !variant.is_null())
            .unwrap_or(enabled),
        variant,
        reason: reason.and_then(|reason| reason.get("code")).cloned(),
        condition_index: reason.and_then(|reason| reason.get("condition_index")).cloned(),
        payload: record
            .get("metadata")
            .and_then(|metadata| metadata.get("payload"))
            .cloned(),
        record,
        text: raw.get().to_owned(),
    })
}

fn plain(raw: &RawValue, payload: Option<&RawValue>) -> Option<FlagAnswer> {
    plain_of(value(raw)?, payload).map(|answer| FlagAnswer {
        text: format!("{}{}", raw.get(), payload.map_or("", RawValue::get)),
        ..answer
    })
}

fn plain_of(record: Value, payload: Option<&RawValue>) -> Option<FlagAnswer> {
    Some(FlagAnswer {
        value: record.clone(),
        variant: record.is_string().then(|| record.clone()),
        reason: None,
        condition_index: None,
        payload: match payload {
            Some(raw) => Some(value(raw)?),
            None => None,
        },
        record,
        text: payload.map_or("", RawValue::get).to_owned(),
    })
}

/// A key in a list of those that are on.
fn enabled() -> FlagAnswer {
    FlagAnswer {
        value: Value::Bool(true),
        variant: None,
        reason: None,
        condition_index: None,
        payload: None,
        record: Value::Bool(true),
        text: String::new(),
    }
}
