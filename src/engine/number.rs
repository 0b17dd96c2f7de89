//! Numbers in operators (`evaluation.md` 12.6): JSON numbers as they are, everything else by its text.

use serde_json::Value;

use super::value::PropertyValue;

/// Parses the grammar of 12.6: sign, digits with an optional point, exponent, `inf`, `infinity`, `nan`.
/// No blanks, no separators, no hexadecimal. Overflow becomes infinity.
#[must_use]
pub fn parse_number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// The number of a property value.
#[must_use]
pub fn property_number(value: PropertyValue<'_>) -> Option<f64> {
    match value {
        PropertyValue::I64(value) => Some(value as f64),
        PropertyValue::U64(value) => Some(value as f64),
        PropertyValue::F64(value) => Some(value),
        PropertyValue::Str(text) => parse_number(text),
        PropertyValue::Null | PropertyValue::Bool(_) | PropertyValue::Array(_) | PropertyValue::Object(_) => {
            None
        }
    }
}

/// The number of a filter operand.
#[must_use]
pub fn operand_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => parse_number(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse_number;

    #[test]
    fn grammar() {
        for good in ["5.", ".5", "+5", "-5e3", "1e400", "INF", "-infinity", "NaN"] {
            assert!(parse_number(good).is_some(), "{good}");
        }
        for bad in ["", " 5", "5 ", "1_000", "0x10", "ten", ".", "e5", "true"] {
            assert!(parse_number(bad).is_none(), "{bad}");
        }
    }
}
