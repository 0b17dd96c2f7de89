//! Reason texts, shared by every flag of the process.

use std::sync::LazyLock;

use super::append::Ending;
use super::fragment::{Fragments, Middle, OFF_TEXT, ON_TEXT};
use crate::engine::{FlagResult, Reason};

/// Condition positions whose texts are ready; flags with more conditions are rare and pay for the digits.
const READY_CONDITIONS: usize = 32;

/// Texts by reason and condition, the one without a condition first.
static READY: LazyLock<Box<[Ready]>> = LazyLock::new(|| {
    let conditions = std::iter::once(None).chain((0..READY_CONDITIONS as u32).map(Some));
    Reason::ALL
        .into_iter()
        .flat_map(|reason| {
            conditions
                .clone()
                .map(move |condition| Ready::new(reason, condition))
        })
        .collect()
});

/// The end of a flag's record, with what mostly stands before its reason, in one piece.
struct Ready {
    reason: Ending,
    /// Behind the outcome of a flag that is off.
    off: Ending,
    /// Behind the outcome of a flag that is on without variant and payload.
    on: Ending,
}

impl Ready {
    fn new(reason: Reason, condition: Option<u32>) -> Self {
        let behind = |outcome: &str| {
            let mut text = outcome.as_bytes().to_vec();
            build(reason, condition, &mut text);
            Ending::new(&text)
        };
        Self {
            reason: behind(""),
            off: behind(OFF_TEXT),
            on: behind(ON_TEXT),
        }
    }
}

/// Appends the detailed records of an answer, each with a comma behind it.
pub(super) fn write_records(fragments: &Fragments, results: &[FlagResult], out: &mut Vec<u8>) {
    let ready = &**READY;
    for result in results {
        let middle = fragments.write_head(result.flag.0 as usize, result.value, out);
        write_end(ready, middle, result, out);
    }
}

/// Appends a record from its payload on.
#[inline(always)]
fn write_end(ready: &[Ready], middle: Middle<'_>, result: &FlagResult, out: &mut Vec<u8>) {
    // No condition is column 0.
    let column = result.condition.wrapping_add(1) as usize;
    if column > READY_CONDITIONS {
        return write_unready(middle, result, out);
    }
    let ready = &ready[result.reason as usize * (READY_CONDITIONS + 1) + column];
    match middle {
        Middle::Off => ready.off.append(out),
        Middle::On => ready.on.append(out),
        Middle::Own(text) => {
            out.extend_from_slice(text);
            ready.reason.append(out);
        }
    }
}

#[cold]
fn write_unready(middle: Middle<'_>, result: &FlagResult, out: &mut Vec<u8>) {
    out.extend_from_slice(match middle {
        Middle::Off => OFF_TEXT.as_bytes(),
        Middle::On => ON_TEXT.as_bytes(),
        Middle::Own(text) => text,
    });
    build(result.reason, result.condition_index(), out);
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
                let own = "\"paid\"},\"enabled\":true,\"variant\":\"v\",";
                for (middle, twin, enabled) in [
                    (Middle::Off, Middle::Off, false),
                    (Middle::On, Middle::On, true),
                    (Middle::Own(own.as_bytes()), Middle::Own(own.as_bytes()), true),
                ] {
                    let (mut ready, mut built) = (Vec::new(), Vec::new());
                    write_end(&READY, middle, &result, &mut ready);
                    write_unready(twin, &result, &mut built);
                    assert_eq!(ready, built);
                    let text = String::from_utf8(ready).unwrap();
                    let text = format!("{{\"metadata\":{{\"payload\":{}", text.strip_suffix(',').unwrap());
                    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(json["reason"]["code"], reason.code());
                    assert_eq!(
                        json["reason"]["condition_index"].as_u64(),
                        result.condition_index().map(u64::from)
                    );
                    assert_eq!(json["enabled"], enabled);
                }
            }
        }
    }
}
