//! The context that a request comes with: `traceparent` and `tracestate` of W3C Trace Context, level 1.
//!
//! Strict where the standard is: whatever is not a valid `traceparent` counts as none, and its `tracestate` with it.

use std::num::NonZeroU64;

use crate::span::SpanId;

/// Longest `tracestate` that is passed on; the standard asks for 512 at least.
const STATE_BYTES_MAX: usize = 512;

/// Length of version 00: two digits, 32, 16, two, and three hyphens.
const LENGTH: usize = 55;

/// Flag of `traceparent`: the sender keeps the trace.
const SAMPLED: u8 = 1;

/// Who asks, as a trace sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Number of the trace; not zero.
    pub trace_id: u128,
    /// The sender's span.
    pub span_id: SpanId,
    /// Whether the sender keeps the trace.
    pub sampled: bool,
}

impl Parent {
    /// Reads a `traceparent`. A later version is read as this one as far as it goes; `ff` is no version.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(LENGTH)?;
        let version = hex(known.get(..2)?)?;
        let hyphens = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
        let rest_fits = rest.is_empty() || (version != 0 && rest.first() == Some(&b'-'));
        if version == 0xff || !hyphens || !rest_fits {
            return None;
        }
        let trace_id = hex(known.get(3..35)?).filter(|id| *id != 0)?;
        let span_id = u64::try_from(hex(known.get(36..52)?)?).ok()?;
        let flags = u8::try_from(hex(known.get(53..)?)?).ok()?;
        Some(Self {
            trace_id,
            span_id: NonZeroU64::new(span_id)?,
            sampled: flags & SAMPLED != 0,
        })
    }
}

/// Up to 32 hexadecimal digits, lower case alone.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// A `tracestate` that may be passed on: visible ASCII and spaces, not empty, not too long.
#[must_use]
pub fn state(text: &[u8]) -> Option<Box<str>> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let fits =
        (1..=STATE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    fits.then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parse(text: &str) -> Option<Parent> {
        Parent::parse(text.as_bytes())
    }

    #[test]
    fn what_the_standard_shows_is_read() {
        let parent = parse(GOOD).unwrap();
        assert_eq!(parent.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(parent.span_id.get(), 0xb7ad_6b71_6920_3331);
        assert!(parent.sampled);
        for (flags, sampled) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
            let text = format!("{}{flags}", &GOOD[..53]);
            assert_eq!(
                parse(&text).map(|parent| parent.sampled),
                Some(sampled),
                "{flags}"
            );
        }
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        for tail in ["", "-", "-what-the-future-will-be-like"] {
            assert_eq!(parse(&format!("cc{}{tail}", &GOOD[2..])), parse(GOOD), "{tail}");
        }
        assert_eq!(parse(&format!("cc{}.01", &GOOD[2..])), None);
    }

    #[test]
    fn anything_else_is_no_context() {
        let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let zero_span = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
        let long = format!("{GOOD}-01");
        for text in [
            "",
            "00",
            &GOOD[..54],
            &long,
            &zero_trace,
            &zero_span,
            &format!("ff{}", &GOOD[2..]),
            &format!(" {GOOD}"),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            &GOOD.replace("0a", "0g"),
            &format!("00-{}", "é".repeat(26)),
            &format!("+0{}", &GOOD[2..]),
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_state_is_passed_on_within_bounds() {
        assert_eq!(
            state(b" rojo=00f067aa0ba902b7,congo=t61 ").as_deref(),
            Some("rojo=00f067aa0ba902b7,congo=t61")
        );
        for bad in [&b""[..], b"  ", b"a=\xff", b"a=\nb", &[b'a'; 513]] {
            assert_eq!(state(bad), None);
        }
        assert_eq!(state(&[b'a'; 512]).map(|text| text.len()), Some(512));
    }
}
