//! Hashing and bucketing, `evaluation.md` 11.

use serde_json::Value;
use sha1::{Digest, Sha1};

use super::model::Flag;

/// 11.1: fifteen hexadecimal digits of SHA-1 over the largest such number, both as binary64 first.
#[expect(clippy::cast_precision_loss, reason = "11.1 asks for exactly this rounding")]
pub fn hash(prefix: &str, identifier: &str, salt: &str) -> f64 {
    let n = u64::from_str_radix(&digits(prefix, identifier, salt), 16).expect("hexadecimal digits");
    n as f64 / 0x0fff_ffff_ffff_ffff_u64 as f64
}

/// The fifteen digits themselves.
pub fn digits(prefix: &str, identifier: &str, salt: &str) -> String {
    let input = format!("{prefix}{identifier}{salt}");
    let mut hex = String::new();
    for byte in Sha1::digest(input.as_bytes()) {
        hex.push_str(&format!("{byte:02x}"));
    }
    hex.truncate(15);
    hex
}

/// 11.3: an empty identifier is 0.0 for rollout and variant.
fn flag_hash(flag: Flag<'_>, identifier: &str, salt: &str) -> f64 {
    if identifier.is_empty() {
        0.0
    } else {
        hash(&format!("{}.", flag.key()), identifier, salt)
    }
}

/// 11.5.
#[expect(clippy::float_cmp, reason = "11.5: exactly 100.0")]
pub fn inside_rollout(flag: Flag<'_>, identifier: &str, rollout: f64) -> bool {
    rollout == 100.0 || flag_hash(flag, identifier, "") <= rollout / 100.0
}

/// Holdout hash, 9.3: the prefix alone when the identifier is empty.
pub fn holdout_hash(identifier: &str) -> f64 {
    hash("holdout-", identifier, "")
}

/// 11.6: running boundaries, quotients added one by one.
pub fn boundaries(shares: &[f64]) -> Vec<f64> {
    let mut boundary = 0.0;
    shares
        .iter()
        .map(|share| {
            boundary += share / 100.0;
            boundary
        })
        .collect()
}

/// 11.6: the variant the hash falls into, if any.
pub fn variant(flag: Flag<'_>, identifier: &str) -> Option<String> {
    let variants = flag.variants();
    let shares: Vec<f64> = variants.iter().map(|(_, share)| *share).collect();
    let hash = flag_hash(flag, identifier, "variant");
    let at = boundaries(&shares)
        .into_iter()
        .position(|boundary| hash < boundary)?;
    Some(variants[at].0.to_owned())
}

/// Text of a group key: 9.4 says which are usable.
pub fn group_key_text(key: Option<&Value>) -> Option<String> {
    match key {
        Some(Value::String(key)) if !key.is_empty() => Some(key.clone()),
        Some(number @ Value::Number(_)) => Some(super::text::text(number)),
        _ => None,
    }
}
