//! What rates mean as buckets (`http.md` 13.6, 15.1).

use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;

use crate::config::Rate;

/// The longest time in which a bucket fills, some 146 years: sums of such times fit the 64 bits of nanoseconds that a
/// bucket's state has. Only bursts that nobody can use up are refilled faster than configured.
const REFILL_MAX: Duration = Duration::from_nanos(1 << 62);

/// A bucket of `burst` requests that regains `per_second`: from 1 up a whole number, below it one request each
/// `1000 / per_second` milliseconds. Both are above zero; start-up refuses others.
pub(super) fn per_second(per_second: f64, burst: u32) -> Quota {
    let interval = if per_second < 1.0 {
        Duration::try_from_secs_f64(per_second.recip()).unwrap_or(REFILL_MAX)
    } else {
        // Saturates, which is faster than the shortest interval.
        Duration::from_secs(1) / per_second.round() as u32
    };
    bucket(interval, burst)
}

/// A bucket of N requests that regains N a period.
pub(super) fn of(rate: Rate) -> Quota {
    let period = Duration::from_secs(rate.period.seconds().into());
    bucket(period / rate.requests.max(1), rate.requests)
}

/// Requests a day, to compare rates.
pub(super) fn per_day(rate: Rate) -> u64 {
    u64::from(rate.requests) * u64::from(86_400 / rate.period.seconds())
}

fn bucket(interval: Duration, burst: u32) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let interval = interval
        .min(REFILL_MAX / burst.get())
        .max(Duration::from_nanos(1));
    Quota::with_period(interval)
        .expect("the interval is a nanosecond at least")
        .allow_burst(burst)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{REFILL_MAX, of, per_day, per_second};
    use crate::config::Rate;

    #[track_caller]
    fn interval_is(rate: f64, expected: Duration) {
        let quota = per_second(rate, 3);
        assert_eq!(
            (quota.replenish_interval(), quota.burst_size().get()),
            (expected, 3),
            "{rate}"
        );
    }

    #[test]
    fn rates_from_one_up_are_whole_numbers() {
        interval_is(1.0, Duration::from_secs(1));
        interval_is(1.4, Duration::from_secs(1));
        interval_is(1.5, Duration::from_millis(500));
        interval_is(50.0, Duration::from_millis(20));
    }

    #[test]
    fn rates_below_one_are_one_request_each_so_many_milliseconds() {
        interval_is(0.5, Duration::from_secs(2));
        interval_is(0.001, Duration::from_secs(1000));
        interval_is(0.8, Duration::from_millis(1250));
    }

    #[test]
    fn extreme_rates_neither_overflow_nor_stand_still() {
        interval_is(f64::MIN_POSITIVE, REFILL_MAX / 3);
        interval_is(f64::MAX, Duration::from_nanos(1));
        let quota = per_second(0.000_001, u32::MAX);
        assert!(quota.burst_size_replenished_in() <= REFILL_MAX);
        assert!(quota.replenish_interval() > Duration::from_secs(1));
    }

    #[test]
    fn a_day_regains_as_many_as_it_allows() {
        for (text, interval) in [
            ("20/s", Duration::from_millis(50)),
            ("1200/minute", Duration::from_millis(50)),
            ("1/hour", Duration::from_secs(3600)),
            ("24/day", Duration::from_secs(3600)),
        ] {
            let rate = Rate::parse(text).unwrap();
            let quota = of(rate);
            assert_eq!(quota.replenish_interval(), interval, "{text}");
            assert_eq!(quota.burst_size().get(), rate.requests, "{text}");
        }
        assert_eq!(per_day(Rate::parse("2/hour").unwrap()), 48);
        assert_eq!(per_day(Rate::parse("1/s").unwrap()), 86_400);
    }
}
