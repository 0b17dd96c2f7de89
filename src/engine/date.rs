//! Dates (`evaluation.md` 12.9): texts and numbers to instants, relative dates against a clock.
//!
//! Instants are seconds and nanoseconds, because a number of milliseconds read as seconds lies far
//! beyond the years that calendar libraries hold and must still compare.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::number::parse_number;
use super::value::PropertyValue;

/// A point in time: whole seconds since 1970 (floor) and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// 0..1,000,000,000.
    pub nanos: u32,
}

/// Seconds bounds of the calendar that upstream uses (years -262144 to 262143): numbers beyond are no dates.
const SECONDS_MIN: f64 = -8_334_601_228_800.0;
const SECONDS_MAX: f64 = 8_210_266_876_799.0;

/// Relative numbers from here up are not relative dates (`evaluation.md` 12.9 rule 1).
const RELATIVE_BOUND: u32 = 10_000;

/// What a date text says, before a clock is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateText {
    /// A fixed instant.
    At(Instant),
    /// That long before now.
    Before(u32, Unit),
}

/// Unit of a relative date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 3,600 s of wall clock.
    Hour,
    /// Wall-clock day.
    Day,
    /// Seven days.
    Week,
    /// One at a time, clamping the day to each month passed.
    Month,
    /// One at a time, clamping 29 February.
    Year,
}

impl Instant {
    /// From nanoseconds since 1970.
    #[must_use]
    pub fn from_nanos(nanos: i128) -> Self {
        let seconds = nanos.div_euclid(1_000_000_000);
        Self {
            seconds: seconds as i64,
            nanos: nanos.rem_euclid(1_000_000_000) as u32,
        }
    }

    /// From Unix seconds; a negative value loses its fraction downwards.
    #[must_use]
    pub fn from_seconds(value: f64) -> Option<Self> {
        let whole = value.floor();
        if !(SECONDS_MIN..=SECONDS_MAX).contains(&whole) {
            return None;
        }
        let nanos = if value < 0.0 {
            0.0
        } else {
            ((value - whole) * 1e9).min(999_999_999.0)
        };
        Some(Self {
            seconds: whole as i64,
            nanos: nanos as u32,
        })
    }
}

impl DateText {
    /// Reads a filter operand or a property text, rules 1 to 5 of 12.9. Wall-clock forms use `zone`.
    #[must_use]
    pub fn parse(text: &str, zone: &TimeZone) -> Option<Self> {
        let bytes = text.as_bytes();
        if let Some((unit, number)) = bytes.split_last() {
            let digits = number.strip_prefix(b"-").unwrap_or(number);
            if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
                let unit = match unit {
                    b'h' => Some(Unit::Hour),
                    b'd' => Some(Unit::Day),
                    b'w' => Some(Unit::Week),
                    b'm' => Some(Unit::Month),
                    b'y' => Some(Unit::Year),
                    _ => None,
                };
                if let Some(unit) = unit {
                    let digits = std::str::from_utf8(digits).ok()?;
                    let number: u32 = digits.parse().ok()?;
                    return (number < RELATIVE_BOUND).then_some(Self::Before(number, unit));
                }
            }
        }
        absolute(text, zone).map(Self::At)
    }

    /// The instant at `now`; `None` when the wall clock does not exist in `zone`.
    #[must_use]
    pub fn resolve(self, now: Instant, zone: &TimeZone) -> Option<Instant> {
        match self {
            Self::At(instant) => Some(instant),
            Self::Before(number, unit) => before(now, number, unit, zone),
        }
    }
}

/// The instant of a property value: number texts and numbers are Unix seconds, other texts are dates.
#[must_use]
pub fn property_instant(value: PropertyValue<'_>, now: Instant, zone: &TimeZone) -> Option<Instant> {
    match value {
        PropertyValue::I64(value) => Instant::from_seconds(value as f64),
        PropertyValue::U64(value) => Instant::from_seconds(value as f64),
        PropertyValue::F64(value) => Instant::from_seconds(value),
        PropertyValue::Str(text) => match parse_number(text) {
            Some(value) => Instant::from_seconds(value),
            None => DateText::parse(text, zone)?.resolve(now, zone),
        },
        PropertyValue::Null | PropertyValue::Bool(_) | PropertyValue::Array(_) | PropertyValue::Object(_) => {
            None
        }
    }
}

fn before(now: Instant, number: u32, unit: Unit, zone: &TimeZone) -> Option<Instant> {
    let timestamp = jiff::Timestamp::new(now.seconds, now.nanos as i32).ok()?;
    let wall = zone.to_datetime(timestamp);
    let number = i64::from(number);
    let span = match unit {
        Unit::Hour => jiff::Span::new().try_hours(number).ok()?,
        Unit::Day => jiff::Span::new().try_days(number).ok()?,
        Unit::Week => jiff::Span::new().try_weeks(number).ok()?,
        Unit::Month => return in_zone(months_before(wall, number)?, zone),
        Unit::Year => {
            let year = i64::from(wall.year()) - number;
            // Each single step clamps 29 February once it meets a year without one.
            let day = if number > 0 && wall.month() == 2 && wall.day() == 29 {
                28
            } else {
                wall.day()
            };
            let date = jiff::civil::Date::new(i16::try_from(year).ok()?, wall.month(), day).ok()?;
            return in_zone(date.to_datetime(wall.time()), zone);
        }
    };
    in_zone(wall.checked_sub(span).ok()?, zone)
}

/// Steps back month by month; the day shrinks to the shortest month passed.
fn months_before(wall: DateTime, number: i64) -> Option<DateTime> {
    let months = i64::from(wall.year()) * 12 + i64::from(wall.month()) - 1;
    let mut day = wall.day();
    let mut current = months;
    for _ in 0..number {
        current -= 1;
        if day > 28 {
            let first = civil_month(current)?;
            day = day.min(first.days_in_month());
        } else {
            // No month is shorter than 28 days: the remaining steps cannot change the day.
            current = months - number;
            break;
        }
    }
    let first = civil_month(current)?;
    let date = jiff::civil::Date::new(first.year(), first.month(), day).ok()?;
    Some(date.to_datetime(wall.time()))
}

fn civil_month(months: i64) -> Option<jiff::civil::Date> {
    let year = i16::try_from(months.div_euclid(12)).ok()?;
    jiff::civil::Date::new(year, months.rem_euclid(12) as i8 + 1, 1).ok()
}

/// Wall clock to instant: the earlier one where the clock is set back, none where it is set forward.
fn in_zone(wall: DateTime, zone: &TimeZone) -> Option<Instant> {
    let offset = match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Fold { before, .. } => before,
        AmbiguousOffset::Gap { .. } => return None,
    };
    at_offset(wall, offset.seconds())
}

/// By arithmetic on days: the library's own instants end before the last day of the year 9999, which people
/// write for "never".
fn at_offset(wall: DateTime, offset_seconds: i32) -> Option<Instant> {
    let time = wall.time();
    let of_day = i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    let seconds = days_since_1970(wall.date()) * 86_400 + of_day - i64::from(offset_seconds);
    let nanos = u32::try_from(time.subsec_nanosecond()).ok()?;
    Some(Instant { seconds, nanos })
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, by eras of 400 years that begin in March.
fn days_since_1970(date: jiff::civil::Date) -> i64 {
    let (month, day) = (i64::from(date.month()), i64::from(date.day()));
    let year = i64::from(date.year()) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Rules 2 to 5.
fn absolute(text: &str, zone: &TimeZone) -> Option<Instant> {
    let mut cursor = Cursor(text.as_bytes());
    if let Some(date) = cursor.date() {
        return dated(date, cursor, zone);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return unix_digits(text);
    }
    rfc2822(text)
}

fn dated(date: jiff::civil::Date, mut cursor: Cursor<'_>, zone: &TimeZone) -> Option<Instant> {
    if cursor.0.is_empty() {
        return in_zone(date.to_datetime(jiff::civil::Time::midnight()), zone);
    }
    let separator = cursor.byte()?;
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let (time, has_seconds) = cursor.time()?;
    let wall = date.to_datetime(time);
    match cursor.0 {
        // Zone-less forms take a capital T or a blank only.
        [] if separator != b't' => in_zone(wall, zone),
        b" UTC" if has_seconds => at_offset(wall, 0),
        [b' ', rest @ ..] if has_seconds => at_offset(wall, Cursor(rest).whole_offset()?),
        rest if has_seconds => at_offset(wall, Cursor(rest).whole_offset()?),
        _ => None,
    }
}

/// Digits of Unix seconds, milliseconds, microseconds or nanoseconds, told apart by their number.
fn unix_digits(text: &str) -> Option<Instant> {
    let scale: i128 = match text.len() {
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return None,
    };
    Some(Instant::from_nanos(text.parse::<i128>().ok()? * scale))
}

fn rfc2822(text: &str) -> Option<Instant> {
    let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_zoned(text).ok()?;
    Some(Instant::from_nanos(zoned.timestamp().as_nanosecond()))
}

/// Reads fixed fields from the front of a text.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn literal(&mut self, byte: u8) -> Option<()> {
        (self.byte()? == byte).then_some(())
    }

    /// One to `max` digits.
    fn digits(&mut self, max: usize) -> Option<i32> {
        let count = self
            .0
            .iter()
            .take(max)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(
            digits
                .iter()
                .fold(0, |value, digit| value * 10 + i32::from(digit - b'0')),
        )
    }

    fn date(&mut self) -> Option<jiff::civil::Date> {
        let year = self.digits(4)?;
        self.literal(b'-')?;
        let month = self.digits(2)?;
        self.literal(b'-')?;
        let day = self.digits(2)?;
        jiff::civil::Date::new(year as i16, month as i8, day as i8).ok()
    }

    /// `HH:MM[:SS[.fraction]]`, and whether seconds stood there.
    fn time(&mut self) -> Option<(jiff::civil::Time, bool)> {
        let hour = self.digits(2)?;
        self.literal(b':')?;
        let minute = self.digits(2)?;
        let mut second = 0;
        let mut nanos = 0;
        let has_seconds = self.0.first() == Some(&b':');
        if has_seconds {
            self.literal(b':')?;
            second = self.digits(2)?;
            if self.0.first() == Some(&b'.') {
                self.literal(b'.')?;
                let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if count == 0 {
                    return None;
                }
                let (digits, rest) = self.0.split_at(count);
                self.0 = rest;
                let mut scale = 100_000_000;
                for digit in digits {
                    nanos += i32::from(digit - b'0') * scale;
                    scale /= 10;
                }
            }
        }
        let time = jiff::civil::Time::new(hour as i8, minute as i8, second as i8, nanos).ok()?;
        Some((time, has_seconds))
    }

    /// `Z`, `z` or `±HH:MM`, up to the end, in seconds east of UTC.
    fn whole_offset(mut self) -> Option<i32> {
        let seconds = match self.byte()? {
            b'Z' | b'z' => 0,
            sign @ (b'+' | b'-') => {
                let [
                    h1 @ b'0'..=b'9',
                    h2 @ b'0'..=b'9',
                    b':',
                    m1 @ b'0'..=b'5',
                    m2 @ b'0'..=b'9',
                ] = self.0
                else {
                    return None;
                };
                let hours = i32::from(h1 - b'0') * 10 + i32::from(h2 - b'0');
                let minutes = i32::from(m1 - b'0') * 10 + i32::from(m2 - b'0');
                self.0 = &[];
                let seconds = hours * 3_600 + minutes * 60;
                if hours > 23 {
                    return None;
                }
                if sign == b'-' { -seconds } else { seconds }
            }
            _ => return None,
        };
        self.0.is_empty().then_some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, zone: &str) -> Option<i64> {
        let zone = TimeZone::get(zone).unwrap();
        let now = Instant {
            seconds: 1_721_044_800,
            nanos: 0,
        }; // 2024-07-15T12:00:00Z
        Some(DateText::parse(text, &zone)?.resolve(now, &zone)?.seconds)
    }

    #[test]
    fn absolute_forms() {
        let noon = 1_717_243_200; // 2024-06-01T12:00:00Z
        for text in [
            "2024-06-01T12:00:00Z",
            "2024-06-01t12:00:00.000z",
            "2024-06-01 14:00:00+02:00",
            "2024-06-01T12:00",
            "2024-6-1 12:00",
            "2024-06-01 12:00:00 UTC",
            "2024-06-01 14:00:00 +02:00",
            "1717243200",
            "1717243200000",
            "Sat, 01 Jun 2024 12:00:00 +0000",
        ] {
            assert_eq!(at(text, "UTC"), Some(noon), "{text}");
        }
        assert_eq!(at("2024-06-01T14:00:00+0200", "UTC"), None);
        assert_eq!(at("soon", "UTC"), None);
        assert_eq!(at("2024-13-01", "UTC"), None);
    }

    #[test]
    fn zones_and_gaps() {
        assert_eq!(at("2024-06-01", "Europe/Oslo"), at("2024-05-31T22:00:00Z", "UTC"));
        assert_eq!(at("2024-03-31T02:30:00", "Europe/Oslo"), None);
        assert_eq!(
            at("2024-10-27T02:30:00", "Europe/Oslo"),
            at("2024-10-27T00:30:00Z", "UTC")
        );
    }

    #[test]
    fn relative_forms() {
        assert_eq!(at("-7d", "UTC"), at("2024-07-08T12:00:00Z", "UTC"));
        assert_eq!(at("7d", "UTC"), at("-7d", "UTC"));
        assert_eq!(at("10000d", "UTC"), None);
        assert_eq!(at("5M", "UTC"), None);
        let zone = TimeZone::UTC;
        let march = DateText::parse("2024-03-31T10:00:00Z", &zone).unwrap();
        let now = march.resolve(Instant { seconds: 0, nanos: 0 }, &zone).unwrap();
        let two_months = before(now, 2, Unit::Month, &zone).unwrap();
        assert_eq!(Some(two_months.seconds), at("2024-01-29T10:00:00Z", "UTC"));
    }

    #[test]
    fn the_ends_of_the_calendar() {
        assert_eq!(at("9999-12-31", "UTC"), Some(253_402_214_400));
        assert_eq!(at("9999-12-31T23:59:59+00:00", "UTC"), Some(253_402_300_799));
        assert_eq!(at("0001-01-01", "UTC"), Some(-62_135_596_800));
        assert_eq!(at("1970-01-01", "UTC"), Some(0));
        assert_eq!(at("2000-02-29", "UTC"), Some(951_782_400));
    }

    #[test]
    fn numbers_are_seconds() {
        let instant = |value| Instant::from_seconds(value).map(|at| (at.seconds, at.nanos));
        assert_eq!(instant(-1.5), Some((-2, 0)));
        assert_eq!(instant(1.5), Some((1, 500_000_000)));
        assert_eq!(instant(1_717_200_000_000.0), Some((1_717_200_000_000, 0)));
        assert_eq!(instant(f64::NAN), None);
        assert_eq!(instant(f64::INFINITY), None);
    }
}
