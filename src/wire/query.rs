//! The query string of `/flags` and `/decide` (`http.md` 3.1).

use std::borrow::Cow;
use std::fmt;
use std::num::ParseIntError;

use super::percent;

/// The `compression` parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `gzip` or `gzip-js`.
    Gzip,
    /// `base64`.
    Base64,
    /// Anything else.
    Unsupported,
}

/// The parameters that mean something. Borrowed unless a value is percent-encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagsQuery<'q> {
    /// `v`, `version`; text that is no 32-bit integer counts as 1, empty text as absent.
    pub version: Option<i32>,
    /// `compression`; empty text counts as absent.
    pub compression: Option<Compression>,
    /// `ver`, `lib_version`, for the log.
    pub lib_version: Option<Cow<'q, str>>,
    /// `_`, `sent_at`: milliseconds since 1970; empty text counts as absent.
    pub sent_at: Option<i64>,
    /// `config`.
    pub config: Option<bool>,
    /// `only_evaluate_survey_feature_flags`; absent is false.
    pub only_evaluate_survey_feature_flags: bool,
    /// The first non-empty of `token` and `api_key`, for bodies without a token (`http.md` 7.1).
    pub token: Option<Cow<'q, str>>,
}

/// A query string that is refused with 400; its `Display` is the body of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryError {
    /// A parameter twice, or with its alias; the canonical name.
    Duplicate(&'static str),
    /// `_` is not an integer.
    SentAt(ParseIntError),
}

impl fmt::Display for QueryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Failed to deserialize query string: ")?;
        match self {
            Self::Duplicate(name) => write!(out, "duplicate field `{name}`"),
            Self::SentAt(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for QueryError {}

/// Canonical names, in the order of the bits that mark them as seen.
const NAMES: [&str; 6] = [
    "version",
    "compression",
    "lib_version",
    "sent_at",
    "config",
    "only_evaluate_survey_feature_flags",
];

impl<'q> FlagsQuery<'q> {
    /// Reads the text behind `?`. Unknown parameters are ignored, however often they stand there.
    ///
    /// # Errors
    /// When a known parameter is given twice, also by its alias, or `_` is not an integer.
    pub fn parse(query: Option<&'q str>) -> Result<Self, QueryError> {
        let mut read = Self::default();
        let mut seen = 0_u8;
        let mut tokens = [None, None];
        let query = query.unwrap_or_default();
        let encoded = percent::is_encoded(query);
        let decoded = |text: &'q str| {
            if encoded {
                percent::decode_query(text)
            } else {
                Cow::Borrowed(text)
            }
        };
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name);
            let value = || decoded(value);
            let index = match &*name {
                "v" | "version" => 0,
                "compression" => 1,
                "ver" | "lib_version" => 2,
                "_" | "sent_at" => 3,
                "config" => 4,
                "only_evaluate_survey_feature_flags" => 5,
                "token" => {
                    keep_first(&mut tokens[0], value());
                    continue;
                }
                "api_key" => {
                    keep_first(&mut tokens[1], value());
                    continue;
                }
                _ => continue,
            };
            if seen & (1 << index) != 0 {
                return Err(QueryError::Duplicate(NAMES[index]));
            }
            seen |= 1 << index;
            let value = value();
            match index {
                0 => read.version = version(&value),
                1 => read.compression = compression(&value),
                2 => read.lib_version = Some(value),
                3 => read.sent_at = sent_at(&value)?,
                4 => read.config = Some(is_on(&value)),
                _ => read.only_evaluate_survey_feature_flags = is_on(&value),
            }
        }
        let [token, api_key] = tokens;
        read.token = token.or(api_key);
        Ok(read)
    }
}

fn keep_first<'q>(kept: &mut Option<Cow<'q, str>>, value: Cow<'q, str>) {
    if kept.is_none() && !value.is_empty() {
        *kept = Some(value);
    }
}

fn version(value: &str) -> Option<i32> {
    (!value.is_empty()).then(|| value.parse().unwrap_or(1))
}

fn compression(value: &str) -> Option<Compression> {
    let is = |name: &str| value.eq_ignore_ascii_case(name);
    match value {
        "" => None,
        _ if is("gzip") || is("gzip-js") => Some(Compression::Gzip),
        _ if is("base64") => Some(Compression::Base64),
        _ => Some(Compression::Unsupported),
    }
}

fn sent_at(value: &str) -> Result<Option<i64>, QueryError> {
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(QueryError::SentAt)
}

/// Everything is on that is not spelled off, the empty text included.
fn is_on(value: &str) -> bool {
    let value = value.trim();
    !["false", "0", "no", "off"]
        .iter()
        .any(|off| value.eq_ignore_ascii_case(off))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> FlagsQuery<'_> {
        FlagsQuery::parse(Some(query)).unwrap()
    }

    fn error(query: &str) -> String {
        FlagsQuery::parse(Some(query)).unwrap_err().to_string()
    }

    #[test]
    fn absent_and_empty_parameters() {
        assert_eq!(FlagsQuery::parse(None).unwrap(), FlagsQuery::default());
        assert_eq!(parse("&&v=&compression=&_=&x=1&x=2"), FlagsQuery::default());
        assert_eq!(parse("ver=").lib_version.as_deref(), Some(""));
    }

    #[test]
    fn a_version_that_is_no_32_bit_integer_is_one() {
        assert_eq!(parse("v=2").version, Some(2));
        assert_eq!(parse("%76ersion=-3").version, Some(-3));
        for odd in ["banana", "1.5", "99999999999", "+2", "2%20"] {
            assert_eq!(parse(&format!("v={odd}")).version, Some(1), "{odd}");
        }
    }

    #[test]
    fn compressions_ignore_letter_case() {
        assert_eq!(parse("compression=GZip").compression, Some(Compression::Gzip));
        assert_eq!(parse("compression=gzip-JS").compression, Some(Compression::Gzip));
        assert_eq!(parse("compression=Base64").compression, Some(Compression::Base64));
        assert_eq!(
            parse("compression=lz64").compression,
            Some(Compression::Unsupported)
        );
    }

    #[test]
    fn switches_are_on_unless_spelled_off() {
        for on in ["config", "config=", "config=banana", "config=true", "config=1"] {
            assert_eq!(parse(on).config, Some(true), "{on}");
        }
        for off in ["config=0", "config=FALSE", "config=no", "config=+off+"] {
            assert_eq!(parse(off).config, Some(false), "{off}");
        }
        assert!(parse("only_evaluate_survey_feature_flags").only_evaluate_survey_feature_flags);
    }

    #[test]
    fn repeated_parameters_are_refused_by_their_canonical_name() {
        let prefix = "Failed to deserialize query string: duplicate field";
        assert_eq!(error("v=2&version=2"), format!("{prefix} `version`"));
        assert_eq!(error("config&config=1"), format!("{prefix} `config`"));
        assert_eq!(error("ver=1&lib_version=1"), format!("{prefix} `lib_version`"));
        assert_eq!(error("sent_at=&_=1"), format!("{prefix} `sent_at`"));
    }

    #[test]
    fn the_sending_time_must_be_an_integer() {
        assert_eq!(parse("_=1700000000000").sent_at, Some(1_700_000_000_000));
        assert_eq!(
            error("_=abc"),
            "Failed to deserialize query string: invalid digit found in string"
        );
        assert!(error("_=1.5").starts_with("Failed to deserialize query string: "));
    }

    #[test]
    fn the_fallback_token_is_the_first_that_is_not_empty() {
        assert_eq!(parse("api_key=b&token=a&token=c").token.as_deref(), Some("a"));
        assert_eq!(parse("token=&api_key=phc%5Fb").token.as_deref(), Some("phc_b"));
        assert_eq!(parse("token=").token, None);
    }
}
