//! Versions and requirements, `evaluation.md` 12.8.

use semver::{Version, VersionReq};
use serde_json::Value;

use super::text::text;

/// One leading lower-case `v`, then white space, in this order.
fn trimmed(value: &Value) -> String {
    let text = text(value);
    text.strip_prefix('v').unwrap_or(&text).trim().to_owned()
}

/// Splits before the first `-` or `+`.
fn front_and_tail(text: &str) -> (&str, &str) {
    text.split_at(text.find(['-', '+']).unwrap_or(text.len()))
}

/// Parts of the front without leading zeros.
fn parts(front: &str) -> Vec<String> {
    front
        .split('.')
        .map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            match part.trim_start_matches('0') {
                "" if digits => "0".to_owned(),
                rest if digits => rest.to_owned(),
                _ => part.to_owned(),
            }
        })
        .collect()
}

fn canonical(value: &Value) -> String {
    let text = trimmed(value);
    let (front, tail) = front_and_tail(&text);
    let mut parts = parts(front);
    while parts.len() < 3 {
        parts.push("0".to_owned());
    }
    parts.join(".") + tail
}

/// A version, if the text is one after canonical form.
pub fn version(value: &Value) -> Option<Version> {
    Version::parse(&canonical(value)).ok()
}

/// Requirement of a range operator.
pub fn requirement(operator: &str, value: &Value) -> Option<VersionReq> {
    let text = match operator {
        "semver_tilde" => format!("~{}", canonical(value)),
        "semver_caret" => format!("^{}", canonical(value)),
        _ => {
            let text = trimmed(value);
            let (front, tail) = front_and_tail(&text);
            parts(front).join(".") + tail
        }
    };
    VersionReq::parse(&text).ok()
}
