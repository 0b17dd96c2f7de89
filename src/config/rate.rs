//! Rates such as `1200/minute`, one a team.

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
        let entries: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
            .map_err(|_| Expected::from(r#"a JSON object such as {"7": "1200/minute"}"#))?;
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

#[cfg(test)]
mod tests {
    use super::{Period, Rate, TeamRates};

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
