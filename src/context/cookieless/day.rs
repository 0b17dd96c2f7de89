//! Which calendar day an id belongs to, and whether that day may be asked for.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

const HOUR_MS: i64 = 3_600_000;

/// Zones are up to 12 hours behind UTC (`storage.md` 6.7 step 2).
const BEHIND_UTC_MS: i64 = 12 * HOUR_MS;

/// Zones are up to 14 hours ahead of UTC; then 24 hours of supported ingestion lag (step 2).
const AFTER_START_MS: i64 = (14 + 24) * HOUR_MS;

/// The local date of a time in the first of these zones that exists, else in UTC. `None`: a time outside the calendar.
#[must_use]
pub fn day_of(at_ms: i64, timezone: Option<&str>, team_timezone: &str) -> Option<Date> {
    let zone = timezone
        .and_then(|name| TimeZone::get(name).ok())
        .or_else(|| TimeZone::get(team_timezone).ok())
        .unwrap_or(TimeZone::UTC);
    let at = Timestamp::from_millisecond(at_ms).ok()?;
    Some(zone.to_datetime(at).date())
}

/// Whether it can be that day somewhere, late senders included.
pub(super) fn is_in_window(day: Date, now_ms: i64) -> bool {
    let Ok(start) = TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)) else {
        return false;
    };
    let start_ms = start.as_millisecond();
    start_ms - BEHIND_UTC_MS <= now_ms && now_ms < start_ms + AFTER_START_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(at: &str, timezone: Option<&str>, team: &str) -> String {
        let at: Timestamp = at.parse().unwrap();
        day_of(at.as_millisecond(), timezone, team).unwrap().to_string()
    }

    #[test]
    fn days_are_those_of_the_specification() {
        assert_eq!(
            day("2025-01-01T20:30:01Z", Some("Asia/Tehran"), "UTC"),
            "2025-01-02"
        );
        assert_eq!(
            day("2025-01-01T12:00:00Z", Some("Pacific/Tongatapu"), "UTC"),
            "2025-01-02"
        );
        assert_eq!(
            day("2025-01-01T02:59:00Z", Some("America/Sao_Paulo"), "UTC"),
            "2024-12-31"
        );
    }

    #[test]
    fn unknown_zones_fall_to_the_team_and_then_to_utc() {
        let at = "2025-01-01T20:30:01Z";
        assert_eq!(day(at, Some("Mars/Olympus"), "Asia/Tehran"), "2025-01-02");
        assert_eq!(day(at, None, "Asia/Tehran"), "2025-01-02");
        assert_eq!(day(at, Some(""), "nowhere"), "2025-01-01");
    }

    #[test]
    fn the_window_is_closed_at_its_start_and_open_at_its_end() {
        let day: Date = "2025-01-02".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let (first, end) = (at("2025-01-01T12:00:00Z"), at("2025-01-03T14:00:00Z"));
        assert!(is_in_window(day, first) && !is_in_window(day, first - 1));
        assert!(is_in_window(day, end - 1) && !is_in_window(day, end));
    }

    #[test]
    fn times_outside_the_calendar_have_no_day() {
        assert_eq!(day_of(i64::MAX, None, "UTC"), None);
        assert_eq!(day_of(i64::MIN, None, "UTC"), None);
    }
}
