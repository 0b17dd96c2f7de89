//! Reason texts, shared by every flag of the process.

use std::sync::LazyLock;

use crate::engine::{FlagResult, Reason};

/// Condition positions whose texts are ready; flags with more conditions are rare and pay for the digits.
const READY_CONDITIONS: usize = 32;

/// Texts by reason and condition, the one without a condition first.
static READY: LazyLock<Vec<Box<[u8]>>> = LazyLock::new(|| {
    let conditions = std::iter::once(None).chain((0..READY_CONDITIONS as u32).map(Some));
    Reason::ALL
        .into_iter()
        .flat_map(|reason| conditions.clone().map(move |condition| (reason, condition)))
        .map(|(reason, condition)| {
            let mut text = Vec::new();
            build(reason, condition, &mut text);
            text.into()
        })
        .collect()
});

/// Appends `"reason":{…}},`, the end of a flag's record.
#[inline]
pub fn write_reason(result: &FlagResult, out: &mut Vec<u8>) {
    let column = match result.condition_index() {
        None => 0,
        Some(condition) if (condition as usize) < READY_CONDITIONS => condition as usize + 1,
        Some(condition) => return build(result.reason, Some(condition), out),
    };
    out.extend_from_slice(&READY[result.reason as usize * (READY_CONDITIONS + 1) + column]);
}

#[cold]
fn build(reason: Reason, condition: Option<u32>, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(b"\"reason\":{\"code\":\"");
    out.extend_from_slice(reason.code().as_bytes());
    out.extend_from_slice(b"\",\"condition_index\":");
    match condition {
        Some(condition) => out.extend_from_slice(digits.format(condition).as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"description\":\"");
    out.extend_from_slice(reason.description().as_bytes());
    if let (Reason::ConditionMatch, Some(condition)) = (reason, condition) {
        out.extend_from_slice(digits.format(u64::from(condition) + 1).as_bytes());
    }
    out.extend_from_slice(b"\"}},");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{FlagIndex, FlagValue};

    #[test]
    fn ready_and_built_texts_are_the_same() {
        for reason in Reason::ALL {
            for condition in [0, 31, 32, 4_000, FlagResult::NO_CONDITION] {
                let result = FlagResult {
                    flag: FlagIndex(0),
                    value: FlagValue::Off,
                    reason,
                    condition,
                };
                let (mut ready, mut built) = (Vec::new(), Vec::new());
                write_reason(&result, &mut ready);
                build(reason, result.condition_index(), &mut built);
                assert_eq!(ready, built);
                let text = format!("{{{}", String::from_utf8(ready).unwrap());
                let text = text.strip_suffix(',').unwrap();
                let json: serde_json::Value = serde_json::from_str(text).unwrap();
                assert_eq!(json["reason"]["code"], reason.code());
            }
        }
    }
}
