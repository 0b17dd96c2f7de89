//! Django's canonical text: `json.dumps(value, sort_keys=True)` (`storage.md` 2.3).

use super::float::write_number;
use super::{Json, Members};

impl Json<'_> {
    /// Sorted members, `", "` and `": "`, ASCII only.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        write(self, &mut out);
        out
    }
}

fn write(value: &Json<'_>, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(text) => write_number(text, out),
        Json::String(text) => write_string(text, out),
        Json::Array(elements) => {
            out.push('[');
            for (place, element) in elements.iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                write(element, out);
            }
            out.push(']');
        }
        Json::Object(members) => write_members(members, out),
    }
}

fn write_members(members: &Members<'_>, out: &mut String) {
    out.push('{');
    for (place, (name, value)) in members.iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        write_string(name, out);
        out.push_str(": ");
        write(value, out);
    }
    out.push('}');
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            '\u{8}' => out.push_str("\\b"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}
