//! `flags_with_cohorts.json`: passed on as it is, once it is known to be what SDKs can read.

use std::borrow::Cow;

use serde::Deserialize;

use super::depth::is_too_deep;
use super::{ParseError, TEXT_BYTES_MAX};

/// What a text of definitions says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsedDefinitions {
    /// JSON `null`, as older writers store a team without definitions.
    Nothing,
    /// An object with a list of flags.
    Flags {
        /// Some active flag's key satisfies what the caller asked of keys.
        counts: bool,
    },
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    flags: Vec<Flag<'a>>,
}

#[derive(Deserialize)]
struct Flag<'a> {
    #[serde(borrow, default)]
    key: Cow<'a, str>,
    #[serde(default)]
    active: bool,
}

/// Checks the text as a whole; `counts`: which keys of active flags make it count.
///
/// # Errors
/// When it is no JSON object with an array `flags` of objects, nested too deep or too long.
pub fn parse_definitions(text: &str, counts: impl Fn(&str) -> bool) -> Result<ParsedDefinitions, ParseError> {
    if text.len() > TEXT_BYTES_MAX || is_too_deep(text) {
        return Err(ParseError::Shape("too long or nested too deep".to_owned()));
    }
    let document: Option<Document<'_>> =
        sonic_rs::from_str(text).map_err(|error| ParseError::Shape(error.to_string()))?;
    Ok(match document {
        None => ParsedDefinitions::Nothing,
        Some(document) => ParsedDefinitions::Flags {
            counts: document.flags.iter().any(|flag| flag.active && counts(&flag.key)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ParsedDefinitions, ParseError> {
        parse_definitions(text, |key| !key.starts_with("survey-"))
    }

    #[test]
    fn active_flags_decide_whether_it_counts() {
        let flags = |list: &str| format!(r#"{{"cohorts": {{}}, "flags": [{list}]}}"#);
        for (list, counts) in [
            ("", false),
            (r#"{"key": "a", "active": true, "filters": {"groups": []}}"#, true),
            (r#"{"key": "a", "active": false}"#, false),
            (r#"{"key": "survey-a", "active": true}"#, false),
            (r#"{"key": "s\u0075rvey-a", "active": true}, {"key": "b"}"#, false),
        ] {
            assert_eq!(
                parse(&flags(list)),
                Ok(ParsedDefinitions::Flags { counts }),
                "{list}"
            );
        }
        assert_eq!(parse(" null "), Ok(ParsedDefinitions::Nothing));
    }

    #[test]
    fn what_sdks_cannot_read_is_refused() {
        let deep = format!(
            r#"{{"flags": [], "cohorts": {}{}}}"#,
            "[".repeat(300),
            "]".repeat(300)
        );
        for text in [
            "",
            "{}",
            "[]",
            r#"{"flags": null}"#,
            r#"{"flags": [1]}"#,
            r#"{"flags": [], "cohorts": {"1": tru}}"#,
            r#"{"flags": []"#,
            r#"{"flags": []} x"#,
            &deep,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
