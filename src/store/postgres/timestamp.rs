//! Points of time as Python's `isoformat` prints them in UTC, the form in which Django writes them to caches.

use std::error::Error;
use std::fmt::Write;

use jiff::Timestamp;
use tokio_postgres::types::{FromSql, Type, accepts};

/// From the Unix epoch to PostgreSQL's, 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A `timestamptz` as text; `None` for what has no date: infinity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IsoTime(pub Option<String>);

impl<'a> FromSql<'a> for IsoTime {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        let timestamp = micros
            .checked_add(EPOCH_MICROS)
            .and_then(|micros| Timestamp::from_microsecond(micros).ok());
        Ok(Self(timestamp.map(iso)))
    }

    accepts!(TIMESTAMPTZ);
}

/// PostgreSQL's own ISO text in UTC; as it is where it cannot be read.
pub(super) fn normalized(text: String) -> String {
    text.parse().map(iso).unwrap_or(text)
}

fn iso(timestamp: Timestamp) -> String {
    let mut text = timestamp.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let micros = timestamp.as_microsecond().rem_euclid(1_000_000);
    if micros != 0 {
        // Writing to a string does not fail.
        let _ = write!(text, ".{micros:06}");
    }
    text.push_str("+00:00");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(micros: i64) -> Option<String> {
        IsoTime::from_sql(&Type::TIMESTAMPTZ, &micros.to_be_bytes())
            .expect("eight bytes")
            .0
    }

    #[test]
    fn fractions_are_printed_only_where_there_are_any() {
        assert_eq!(read(0).as_deref(), Some("2000-01-01T00:00:00+00:00"));
        assert_eq!(read(500_000).as_deref(), Some("2000-01-01T00:00:00.500000+00:00"));
        assert_eq!(read(-1).as_deref(), Some("1999-12-31T23:59:59.999999+00:00"));
        assert_eq!(read(i64::MAX), None);
        assert_eq!(read(i64::MIN), None);
    }

    #[test]
    fn other_zones_become_utc() {
        let text = "2024-05-01T14:00:00.25+02:00".to_owned();
        assert_eq!(normalized(text), "2024-05-01T12:00:00.250000+00:00");
        assert_eq!(normalized("infinity".to_owned()), "infinity");
    }
}
