//! Numbers of JSON and JSON5.

use simd_json::StaticNode;

use super::{Dialect, Refused};

/// Reads the number that `text` starts with; also how many bytes it covers.
///
/// `NaN` and the infinities are null. An integer outside of 64 signed bits becomes an unsigned one, else a
/// float. A number that no float can hold is refused (`http.md` 5.4).
pub(super) fn read(text: &str, dialect: Dialect) -> Result<(StaticNode, usize), Refused> {
    let tolerant = dialect == Dialect::Json5;
    let (negative, sign_length) = match text.as_bytes().first() {
        Some(b'-') => (true, 1),
        Some(b'+') if tolerant => (false, 1),
        _ => (false, 0),
    };
    let magnitude = &text[sign_length..];
    if tolerant {
        for name in ["NaN", "Infinity"] {
            if magnitude.starts_with(name) {
                return Ok((StaticNode::Null, sign_length + name.len()));
            }
        }
        if let Some(digits) = magnitude
            .strip_prefix("0x")
            .or_else(|| magnitude.strip_prefix("0X"))
        {
            let length = digits_length(digits, u8::is_ascii_hexdigit);
            let value = hexadecimal(&digits[..length], negative)?;
            return Ok((value, sign_length + 2 + length));
        }
    }
    let shape = decimal_shape(magnitude, tolerant)?;
    let length = sign_length + shape.length;
    if shape.integer
        && let Some(value) = integer(magnitude[..shape.length].parse().ok(), negative)
    {
        return Ok((value, length));
    }
    finite(text[..length].parse()).map(|value| (StaticNode::F64(value), length))
}

struct Shape {
    length: usize,
    integer: bool,
}

/// How far the decimal number at the start of `text` reaches.
fn decimal_shape(text: &str, tolerant: bool) -> Result<Shape, Refused> {
    let whole = match text.as_bytes().first() {
        // No digit may follow a leading zero; it is then left over and refused as garbage.
        Some(b'0') => 1,
        _ => digits_length(text, u8::is_ascii_digit),
    };
    let mut length = whole;
    let mut integer = true;
    if let Some(fraction) = text[length..].strip_prefix('.') {
        let digits = digits_length(fraction, u8::is_ascii_digit);
        let either = if tolerant { whole.max(digits) } else { digits };
        if either == 0 {
            return Err(Refused);
        }
        integer = false;
        length += 1 + digits;
    }
    if length == 0 || (whole == 0 && !tolerant) {
        return Err(Refused);
    }
    if let Some(exponent) = text[length..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let digits = digits_length(&exponent[sign..], u8::is_ascii_digit);
        if digits == 0 {
            return Err(Refused);
        }
        integer = false;
        length += 1 + sign + digits;
    }
    Ok(Shape { length, integer })
}

fn digits_length(text: &str, is_digit: fn(&u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    bytes
        .iter()
        .position(|byte| !is_digit(byte))
        .unwrap_or(bytes.len())
}

/// The integer, unless it needs a float. The strict parser writes the same nodes.
fn integer(magnitude: Option<u64>, negative: bool) -> Option<StaticNode> {
    let magnitude = magnitude?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude).map(StaticNode::I64)
    } else {
        Some(StaticNode::U64(magnitude))
    }
}

fn hexadecimal(digits: &str, negative: bool) -> Result<StaticNode, Refused> {
    if digits.is_empty() {
        return Err(Refused);
    }
    if let Some(value) = integer(u64::from_str_radix(digits, 16).ok(), negative) {
        return Ok(value);
    }
    let magnitude = digits.chars().fold(0.0, |value, digit| {
        value * 16.0 + f64::from(digit.to_digit(16).unwrap_or(0))
    });
    finite(Ok(if negative { -magnitude } else { magnitude })).map(StaticNode::F64)
}

fn finite(value: Result<f64, std::num::ParseFloatError>) -> Result<f64, Refused> {
    value.ok().filter(|value| value.is_finite()).ok_or(Refused)
}
