//! Dates, `evaluation.md` 12.9: only the deterministic text forms (rules 1 to 4).

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use super::model::{Case, DEFAULT_NOW};

/// Nanoseconds since the Unix epoch. Wider than any calendar library: milliseconds read as seconds
/// lie in the year 56385.
pub type Instant = i128;

const NANOS: i128 = 1_000_000_000;
/// Seconds of 262142-12-31T23:59:59Z and -262143-01-01: the calendar upstream uses ends there.
const SECONDS: std::ops::RangeInclusive<f64> = -8_334_601_228_800.0..=8_210_266_876_799.0;

/// The wall clock a case is evaluated with.
#[derive(Debug, Clone)]
pub struct Clock {
    now: Timestamp,
    zone: TimeZone,
}

impl Clock {
    /// Clock of a case; UTC when the timezone is missing or unknown.
    pub fn of(case: &Case) -> Self {
        let now = case.now.as_deref().unwrap_or(DEFAULT_NOW);
        Self::new(now, case.timezone.as_deref())
    }

    /// Clock from an RFC 3339 text and a timezone name.
    pub fn new(now: &str, zone: Option<&str>) -> Self {
        Self {
            now: now.parse().expect("the clock of a case is RFC 3339"),
            zone: zone
                .and_then(|name| TimeZone::get(name).ok())
                .unwrap_or(TimeZone::UTC),
        }
    }

    /// Wall clock to instant: the earlier of two, none for a skipped time.
    fn instant(&self, wall: DateTime) -> Option<Instant> {
        let offset = match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { .. } => return None,
            AmbiguousOffset::Fold { before, .. } => before,
        };
        Some(as_if_utc(wall)? - Instant::from(offset.seconds()) * NANOS)
    }

    fn wall_now(&self) -> DateTime {
        self.now.to_zoned(self.zone.clone()).datetime()
    }
}

/// Property side.
pub fn property_instant(value: &Value, clock: &Clock) -> Option<Instant> {
    match value {
        Value::String(text) => match text.parse::<f64>() {
            Ok(seconds) => from_seconds(seconds),
            Err(_) => text_instant(text, clock),
        },
        Value::Number(number) => from_seconds(number.as_f64()?),
        _ => None,
    }
}

/// Filter side: only texts.
pub fn filter_instant(value: &Value, clock: &Clock) -> Option<Instant> {
    text_instant(value.as_str()?, clock)
}

/// Whole seconds are rounded down; the fraction survives only above zero.
#[expect(clippy::cast_possible_truncation, reason = "checked against the range")]
fn from_seconds(seconds: f64) -> Option<Instant> {
    if !SECONDS.contains(&seconds) {
        return None;
    }
    let fraction = if seconds < 0.0 { 0.0 } else { seconds.fract() };
    Some(seconds.floor() as i128 * NANOS + (fraction * 1e9) as i128)
}

fn text_instant(text: &str, clock: &Clock) -> Option<Instant> {
    if let Some((count, unit)) = relative(text) {
        return clock.instant(back(clock.wall_now(), count, unit)?);
    }
    if let Some(instant) = with_offset(text) {
        return Some(instant);
    }
    clock.instant(civil(text)?)
}

/// `-?<digits><unit>`; the sign means nothing.
fn relative(text: &str) -> Option<(i64, char)> {
    let body = text.strip_prefix('-').unwrap_or(text);
    let unit = body.chars().last().filter(|unit| "hdwmy".contains(*unit))?;
    let digits = &body[..body.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse::<i64>().ok().filter(|count| *count < 10_000)?;
    Some((count, unit))
}

fn back(wall: DateTime, count: i64, unit: char) -> Option<DateTime> {
    match unit {
        'h' => wall.checked_sub(count.hours()).ok(),
        'd' => wall.checked_sub(count.days()).ok(),
        'w' => wall.checked_sub((count * 7).days()).ok(),
        'm' => months_back(wall, count, 1),
        _ => months_back(wall, count, 12),
    }
}

/// One step after the other, clamping the day at each.
fn months_back(wall: DateTime, count: i64, months: i32) -> Option<DateTime> {
    let mut date = wall.date();
    for _ in 0..count {
        let index = i32::from(date.year()) * 12 + i32::from(date.month()) - 1 - months;
        let year = i16::try_from(index.div_euclid(12)).ok()?;
        let month = i8::try_from(index.rem_euclid(12) + 1).ok()?;
        let first = Date::new(year, month, 1).ok()?;
        date = Date::new(year, month, date.day().min(first.days_in_month())).ok()?;
    }
    Some(DateTime::from_parts(date, wall.time()))
}

/// RFC 3339 with `Z` or `±HH:MM`.
fn with_offset(text: &str) -> Option<Instant> {
    let (wall, seconds) = if let Some(wall) = text.strip_suffix(['Z', 'z']) {
        (wall, 0)
    } else {
        let at = text.rfind(['+', '-'])?;
        let (hours, minutes) = text[at + 1..].split_once(':')?;
        let seconds = i128::from(number(hours, 2, 2)?) * 3600 + i128::from(number(minutes, 2, 2)?) * 60;
        let east = text.as_bytes()[at] == b'+';
        (&text[..at], if east { seconds } else { -seconds })
    };
    let (date, time) = wall.split_once(['T', 't', ' '])?;
    let wall = DateTime::from_parts(date_of(date, 2)?, time_of(time, 2, true)?);
    Some(as_if_utc(wall)? - seconds * NANOS)
}

/// Rules 3 and 4: date alone, or with a time of day.
fn civil(text: &str) -> Option<DateTime> {
    match text.split_once(['T', ' ']) {
        None => Some(date_of(text, 1)?.to_datetime(Time::midnight())),
        Some((date, time)) => Some(DateTime::from_parts(date_of(date, 1)?, time_of(time, 1, false)?)),
    }
}

fn date_of(text: &str, digits_min: usize) -> Option<Date> {
    let mut parts = text.split('-');
    let year = number(parts.next()?, 4, 4)?;
    let month = number(parts.next()?, digits_min, 2)?;
    let day = number(parts.next()?, digits_min, 2)?;
    if parts.next().is_some() {
        return None;
    }
    Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()
}

fn time_of(text: &str, digits_min: usize, seconds_required: bool) -> Option<Time> {
    let mut parts = text.splitn(3, ':');
    let hour = number(parts.next()?, digits_min, 2)?;
    let minute = number(parts.next()?, digits_min, 2)?;
    let (second, nanosecond) = match parts.next() {
        None if seconds_required => return None,
        None => (0, 0),
        Some(seconds) => match seconds.split_once('.') {
            None => (number(seconds, digits_min, 2)?, 0),
            Some((whole, fraction)) => (number(whole, digits_min, 2)?, fraction_of(fraction)?),
        },
    };
    Time::new(
        i8::try_from(hour).ok()?,
        i8::try_from(minute).ok()?,
        i8::try_from(second).ok()?,
        i32::try_from(nanosecond).ok()?,
    )
    .ok()
}

/// Digits after the point as nanoseconds; more than nine are cut.
fn fraction_of(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() || !digits {
        return None;
    }
    format!("{text:0<9}")[..9].parse().ok()
}

fn number(text: &str, digits_min: usize, digits_max: usize) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || text.len() < digits_min || text.len() > digits_max {
        return None;
    }
    text.parse().ok()
}

/// Nanoseconds from 1970 to a wall clock in UTC, as a span of the calendar: the library's own instants end
/// before the last day of the year 9999.
fn as_if_utc(wall: DateTime) -> Option<Instant> {
    let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    let span = wall.since((jiff::Unit::Hour, epoch)).ok()?;
    let hours = Instant::from(span.get_hours());
    let seconds = hours * 3_600 + Instant::from(span.get_minutes()) * 60 + Instant::from(span.get_seconds());
    let parts = Instant::from(span.get_milliseconds()) * 1_000_000
        + Instant::from(span.get_microseconds()) * 1_000
        + Instant::from(span.get_nanoseconds());
    Some(seconds * NANOS + parts)
}
