//! Rates such as `1200/minute`, one a team or a project token.

use std::collections::BTreeMap;

use super::parse::Expected;

/// The period of a [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// `s`.
    Second,
    /// `m`.
    Minute,
    /// `h`.
    Hour,
    /// `d`.
    Day,
}

/// So many requests a period (`http.md` 13.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests, above zero.
    pub requests: u32,
    /// In this time.
    pub period: Period,
}

impl Period {
    /// Its length.
    #[must_use]
    pub fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

impl Rate {
    /// Reads `N/period`; only the first letter of the period counts, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (requests, period) = text.trim().split_once('/')?;
        let requests = requests.trim().parse().ok().filter(|requests| *requests > 0)?;
        let period = match period.trim_start().bytes().next()?.to_ascii_lowercase() {
            b's' => Period::Second,
            b'm' => Period::Minute,
            b'h' => Period::Hour,
            b'd' => Period::Day,
            _ => return None,
        };
        Some(Self { requests, period })
    }
}

/// Rates of single teams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamRates {
    /// By team id.
    pub rates: BTreeMap<i32, Rate>,
    /// Entries that could not be read; to be warned about, never fatal.
    pub ignored: Vec<String>,
}

impl TeamRates {
    /// Reads `{"7": "1200/minute"}`; the empty text is no entry.
    ///
    /// # Errors
    /// When the text is not a JSON object.
    pub fn parse(text: &str) -> Result<Self, Expected> {
        let mut teams = Self::default();
        if text.trim().is_empty() {
            return Ok(teams);
        }
        let entries = object(text, r#"a JSON object such as {"7": "1200/minute"}"#)?;
        for (team, value) in entries {
            let rate = value.as_str().and_then(Rate::parse);
            match (team.trim().parse(), rate) {
                (Ok(team_id), Some(rate)) => {
                    teams.rates.insert(team_id, rate);
                }
                _ => teams.ignored.push(format!("{team:?}: {value}")),
            }
        }
        Ok(teams)
    }
}

/// Rates of single project tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRates {
    /// By project token.
    pub rates: BTreeMap<String, Rate>,
    /// Entries that could not be read, without their tokens; to be warned about, never fatal.
    pub ignored: Vec<String>,
}

impl TokenRates {
    /// Entries that are accepted (`http.md` 15.3).
    pub const ENTRIES_MAX: usize = 100;

    /// Reads `{"phc_a": "1200/minute"}`; the empty text is no entry.
    ///
    /// # Errors
    /// When the text is not a JSON object, or has more than [`Self::ENTRIES_MAX`] entries.
    pub fn parse(text: &str) -> Result<Self, Expected> {
        const EXPECTED: &str = r#"a JSON object such as {"phc_a": "1200/minute"}, of at most 100 entries"#;
        let mut tokens = Self::default();
        if text.trim().is_empty() {
            return Ok(tokens);
        }
        let entries = object(text, EXPECTED)?;
        if entries.len() > Self::ENTRIES_MAX {
            return Err(EXPECTED.into());
        }
        for (number, (token, value)) in entries.into_iter().enumerate() {
            match value.as_str().and_then(Rate::parse) {
                Some(rate) if !token.is_empty() => {
                    tokens.rates.insert(token, rate);
                }
                _ => tokens.ignored.push(format!("{}: {value}", number + 1)),
            }
        }
        Ok(tokens)
    }
}

fn object(
    text: &str,
    expected: &'static str,
) -> Result<serde_json::Map<String, serde_json::Value>, Expected> {
    serde_json::from_str(text).map_err(|_| Expected::from(expected))
}

#[cfg(test)]
mod tests {
    use super::{Period, Rate, TeamRates, TokenRates};

    #[test]
    fn rates_of_tokens_are_bounded_in_number() {
        let text = |count: usize| {
            let entries: Vec<String> = (0..count).map(|at| format!(r#""phc_{at}": "5/s""#)).collect();
            format!("{{{}}}", entries.join(","))
        };
        assert_eq!(TokenRates::parse(&text(100)).unwrap().rates.len(), 100);
        assert!(TokenRates::parse(&text(101)).is_err());
        let tokens = TokenRates::parse(r#"{"phc_a": "fast", "": "1/s", "phc_b": "7/day"}"#).unwrap();
        assert_eq!(tokens.rates["phc_b"].period.seconds(), 86_400);
        assert_eq!(tokens.ignored.len(), 2);
        assert!(!tokens.ignored.concat().contains("phc_a"));
        assert_eq!(TokenRates::parse(" ").unwrap(), TokenRates::default());
        assert!(TokenRates::parse("[]").is_err());
    }

    #[test]
    fn the_first_letter_names_the_period() {
        for (text, period) in [
            ("10/s", Period::Second),
            ("10/sec", Period::Second),
            ("10/Minute", Period::Minute),
            ("10/hour", Period::Hour),
            ("10/DAY", Period::Day),
        ] {
            assert_eq!(Rate::parse(text), Some(Rate { requests: 10, period }), "{text}");
        }
    }

    #[test]
    fn broken_entries_are_left_out_and_named() {
        let teams = TeamRates::parse(r#"{"7": "1200/minute", "x": "1/s", "8": "0/s", "9": 5}"#).unwrap();
        assert_eq!(teams.rates.len(), 1);
        assert_eq!(
            teams.rates[&7],
            Rate {
                requests: 1200,
                period: Period::Minute
            }
        );
        assert_eq!(teams.ignored.len(), 3);
    }

    #[test]
    fn only_an_object_is_accepted() {
        assert!(TeamRates::parse("[1]").is_err());
        assert!(TeamRates::parse("{").is_err());
        assert_eq!(TeamRates::parse("").unwrap(), TeamRates::default());
    }
}
