//! The four response shapes of `http.md` 10 and the choice between them (9.2).

use super::config::{ConfigPart, write_quota_limited};
use super::fragment::Fragments;
use super::reason;
use crate::engine::{FlagResult, FlagValue};

/// A response shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `flags`: key to details.
    V2,
    /// `featureFlags` and `featureFlagPayloads`.
    Legacy,
    /// `featureFlags`: enabled keys to values.
    Decide2,
    /// `featureFlags`: array of enabled keys.
    Decide1,
}

impl Shape {
    /// The shape of a POST: `version` is `v`, unparsable text counting as 1.
    #[must_use]
    pub fn choose(is_decide: bool, version: Option<i32>) -> Self {
        match (is_decide, version) {
            (false, Some(2..)) | (true, Some(4..)) => Self::V2,
            (false, _) | (true, Some(3)) => Self::Legacy,
            (true, Some(2)) => Self::Decide2,
            (true, _) => Self::Decide1,
        }
    }

    /// The shape of a GET, which knows no decide forms (10.6).
    #[must_use]
    pub fn choose_minimal(version: Option<i32>) -> Self {
        Self::choose(false, version)
    }
}

/// What stands around the flags.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// Hyphenated lower-case UUID.
    pub request_id: &'a str,
    /// Milliseconds since 1970.
    pub evaluated_at: i64,
    /// `errorsWhileComputingFlags`.
    pub errors: bool,
    /// The project is over its flags quota.
    pub quota_limited: bool,
    /// The team's `minimal_flag_called_events`; shown in the detailed shape only.
    pub minimal_flag_called_events: bool,
    /// The fields that `config=true` adds.
    pub config: ConfigPart<'a>,
}

/// The flags of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Pieces of the project.
    pub fragments: &'a Fragments,
    /// Records.
    pub results: &'a [FlagResult],
}

/// Appends one answer.
pub fn encode(shape: Shape, answer: Option<Answer<'_>>, envelope: &Envelope<'_>, out: &mut Vec<u8>) {
    for pass in shape.passes() {
        open(*pass, envelope, out);
        if let Some(answer) = answer {
            write_pass(*pass, answer, out);
        }
    }
    close(
        shape,
        answer.map_or(&[][..], |answer| answer.results),
        envelope,
        out,
    );
}

/// One walk over the records of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Records,
    Values,
    Payloads,
    EnabledValues,
    EnabledKeys,
}

impl Shape {
    pub(super) fn passes(self) -> &'static [Pass] {
        match self {
            Self::V2 => &[Pass::Records],
            Self::Legacy => &[Pass::Values, Pass::Payloads],
            Self::Decide2 => &[Pass::EnabledValues],
            Self::Decide1 => &[Pass::EnabledKeys],
        }
    }
}

/// What stands before the records of a pass.
pub(super) fn open(pass: Pass, envelope: &Envelope<'_>, out: &mut Vec<u8>) {
    match pass {
        Pass::Records => {
            write_errors(envelope, out);
            out.extend_from_slice(b"\"flags\":{");
        }
        Pass::Values => {
            write_errors(envelope, out);
            out.extend_from_slice(b"\"featureFlags\":{");
        }
        Pass::Payloads => out.extend_from_slice(b"},\"featureFlagPayloads\":{"),
        Pass::EnabledValues => out.extend_from_slice(b"{\"featureFlags\":{"),
        Pass::EnabledKeys => out.extend_from_slice(b"{\"featureFlags\":["),
    }
}

/// Records, with commas between them and none around.
pub(super) fn write_pass(pass: Pass, answer: Answer<'_>, out: &mut Vec<u8>) {
    match pass {
        Pass::Records => write_records(answer, out),
        Pass::Values => write_values(answer, false, out),
        Pass::Payloads => write_payloads(answer, out),
        Pass::EnabledValues => write_values(answer, true, out),
        Pass::EnabledKeys => write_keys(answer, out),
    }
}

/// What stands behind the last pass.
pub(super) fn close(shape: Shape, results: &[FlagResult], envelope: &Envelope<'_>, out: &mut Vec<u8>) {
    out.push(if shape == Shape::Decide1 { b']' } else { b'}' });
    if shape == Shape::V2 && envelope.minimal_flag_called_events {
        out.extend_from_slice(b",\"minimalFlagCalledEvents\":true");
    }
    write_quota_limited(envelope.quota_limited, &envelope.config, out);
    write_identity(envelope, out);
    if !matches!(envelope.config, ConfigPart::Off) {
        let has_flags = match shape {
            Shape::V2 | Shape::Legacy => !results.is_empty(),
            Shape::Decide2 | Shape::Decide1 => results.iter().any(FlagResult::is_enabled),
        };
        envelope.config.write(has_flags, out);
    }
    out.push(b'}');
}

/// Appends the answer of a GET (10.6): no flags, and the constants old clients look for.
pub fn write_minimal(version: Option<i32>, envelope: &Envelope<'_>, out: &mut Vec<u8>) {
    let envelope = Envelope {
        config: ConfigPart::Off,
        quota_limited: false,
        minimal_flag_called_events: false,
        ..*envelope
    };
    encode(Shape::choose_minimal(version), None, &envelope, out);
    out.pop();
    out.extend_from_slice(
        b",\"supportedCompression\":[\"gzip\",\"gzip-js\"],\"config\":{\"enable_collect_everything\":true},\
          \"toolbarParams\":{},\"isAuthenticated\":false,\"sessionRecording\":false}",
    );
}

fn write_errors(envelope: &Envelope<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(if envelope.errors {
        b"{\"errorsWhileComputingFlags\":true,"
    } else {
        b"{\"errorsWhileComputingFlags\":false,"
    });
}

fn write_identity(envelope: &Envelope<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"requestId\":\"");
    out.extend_from_slice(envelope.request_id.as_bytes());
    out.extend_from_slice(b"\",\"evaluatedAt\":");
    out.extend_from_slice(itoa::Buffer::new().format(envelope.evaluated_at).as_bytes());
}

fn write_records(answer: Answer<'_>, out: &mut Vec<u8>) {
    reason::write_records(answer.fragments, answer.results, out);
    if !answer.results.is_empty() {
        // The comma behind the last.
        out.pop();
    }
}

fn write_values(answer: Answer<'_>, enabled_only: bool, out: &mut Vec<u8>) {
    let mut first = true;
    for result in answer
        .results
        .iter()
        .filter(|result| !enabled_only || result.is_enabled())
    {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        answer
            .fragments
            .write_value(result.flag.0 as usize, result.value, out);
    }
}

fn write_payloads(answer: Answer<'_>, out: &mut Vec<u8>) {
    let mut first = true;
    for result in answer
        .results
        .iter()
        .filter(|result| result.value != FlagValue::Off)
    {
        let at = out.len();
        if !first {
            out.push(b',');
        }
        if answer
            .fragments
            .write_payload(result.flag.0 as usize, result.value, out)
        {
            first = false;
        } else {
            out.truncate(at);
        }
    }
}

fn write_keys(answer: Answer<'_>, out: &mut Vec<u8>) {
    let mut first = true;
    for result in answer.results.iter().filter(|result| result.is_enabled()) {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        answer.fragments.write_key(result.flag.0 as usize, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_by_version() {
        for (is_decide, version, shape) in [
            (false, None, Shape::Legacy),
            (false, Some(-1), Shape::Legacy),
            (false, Some(1), Shape::Legacy),
            (false, Some(2), Shape::V2),
            (false, Some(3), Shape::V2),
            (false, Some(4), Shape::V2),
            (true, None, Shape::Decide1),
            (true, Some(0), Shape::Decide1),
            (true, Some(2), Shape::Decide2),
            (true, Some(3), Shape::Legacy),
            (true, Some(4), Shape::V2),
            (true, Some(99), Shape::V2),
        ] {
            assert_eq!(
                Shape::choose(is_decide, version),
                shape,
                "{is_decide} {version:?}"
            );
        }
    }
}
