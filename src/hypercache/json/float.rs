//! Numbers as Python prints them.

/// Digits before the point beyond which `repr` turns to an exponent.
const PLAIN_EXPONENT_MAX: i32 = 16;

/// Below this power of ten `repr` turns to an exponent.
const PLAIN_EXPONENT_MIN: i32 = -4;

/// Appends what `json.dumps(json.loads(text))` gives for a JSON number. A number that overflows a double stays as
/// written: Python would print `Infinity`, which no reader takes.
pub(super) fn write_number(text: &str, out: &mut String) {
    if text == "-0" {
        out.push('0');
    } else if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        out.push_str(text);
    } else {
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => write_float(value, out),
            _ => out.push_str(text),
        }
    }
}

/// `repr(float)`: the shortest digits that read back as the same double.
fn write_float(value: f64, out: &mut String) {
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |mantissa| ("-", mantissa));
    let (first, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    out.push_str(sign);
    if !(PLAIN_EXPONENT_MIN..PLAIN_EXPONENT_MAX).contains(&exponent) {
        out.push_str(mantissa);
        out.push('e');
        out.push(if exponent < 0 { '-' } else { '+' });
        out.push_str(&format!("{:02}", exponent.unsigned_abs()));
    } else if exponent < 0 {
        out.push_str("0.");
        out.extend((1..-exponent).map(|_| '0'));
        out.push_str(first);
        out.push_str(fraction);
    } else {
        let whole = usize::try_from(exponent).unwrap_or(0);
        out.push_str(first);
        match fraction.split_at_checked(whole) {
            Some((before, after)) => {
                out.push_str(before);
                out.push('.');
                out.push_str(if after.is_empty() { "0" } else { after });
            }
            None => {
                out.push_str(fraction);
                out.extend((fraction.len()..whole).map(|_| '0'));
                out.push_str(".0");
            }
        }
    }
}
