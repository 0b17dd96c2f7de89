//! Bounds of histogram buckets (`http.md` 17, 17.2; `decisions.md` 22): upstream's names have upstream's, ours are made for
//! comparing two versions.

use std::sync::LazyLock;

/// Every histogram that has no other list.
const DEFAULT: &[f64] = &[
    1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0,
];

/// Waiting before a handler.
const WAITING: &[f64] = &[
    1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 15000.0, 30000.0,
];

const CONNECTION_TIME: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0,
];

const RATE_LIMIT_CHECK: &[f64] = &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

const TOKEN_EXTRACT: &[f64] = &[
    0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0,
];

/// Prefix of our own metrics, which are in base units.
pub const OUR_PREFIX: &str = "feature_flags_";

/// The latency that versions are compared by.
pub const DENSE_NAME: &str = "feature_flags_request_duration_seconds";

/// Parts of a request: from a microsecond to ten seconds, about four a decade.
const STAGE: &[f64] = &[
    0.000_001, 0.000_002, 0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002,
    0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// Ranges of the dense layout: upper end in seconds, and how far apart its bounds are. An answer without stored data takes
/// 20 to 500 us, and there a change of 3% must show; a read of a person takes milliseconds; what is slower is judged
/// by its order.
const DENSE_RANGES: &[(f64, f64)] = &[(20e-6, 1.10), (500e-6, 1.03), (20e-3, 1.08), (10.0, 1.25)];

/// First bound, seconds.
const DENSE_FROM: f64 = 5e-6;

static DENSE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mut bounds = vec![DENSE_FROM];
    let mut from = DENSE_FROM;
    for &(to, ratio) in DENSE_RANGES {
        // As many equal ratios as fit, none larger than asked for.
        let steps = ((to / from).ln() / ratio.ln()).ceil().max(1.0);
        for step in 1..=steps as u32 {
            bounds.push(four_digits(from * (to / from).powf(f64::from(step) / steps)));
        }
        from = to;
    }
    bounds
});

/// Rounded to four significant digits, so that bounds are short as text.
fn four_digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The bounds of a histogram, by its name.
#[must_use]
pub fn bounds_of(name: &str) -> &'static [f64] {
    match name {
        "flags_db_connection_time" => CONNECTION_TIME,
        "flags_rate_limit_check_ms" => RATE_LIMIT_CHECK,
        "flags_token_extract_ms" => TOKEN_EXTRACT,
        "flags_concurrency_limit_wait_ms" => WAITING,
        DENSE_NAME => &DENSE,
        _ if name.ends_with("_queue_time_ms") || name.ends_with("_pre_handler_time_ms") => WAITING,
        _ if name.starts_with(OUR_PREFIX) => STAGE,
        _ => DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use super::{DENSE, DENSE_NAME, bounds_of};

    #[test]
    fn lists_are_chosen_by_name() {
        assert_eq!(bounds_of("flags_requests_duration_ms").len(), 11);
        assert_eq!(bounds_of("http_requests_duration_seconds").len(), 11);
        assert_eq!(bounds_of("flags_queue_time_ms").len(), 12);
        assert_eq!(bounds_of("flags_pre_handler_time_ms").len(), 12);
        assert_eq!(
            bounds_of("flags_concurrency_limit_wait_ms").last(),
            Some(&30000.0)
        );
        assert_eq!(bounds_of("flags_db_connection_time").first(), Some(&0.05));
        assert_eq!(bounds_of("flags_rate_limit_check_ms").len(), 11);
        assert_eq!(bounds_of("flags_token_extract_ms").len(), 12);
        assert_eq!(bounds_of(DENSE_NAME), DENSE.as_slice());
    }

    #[test]
    fn every_list_ascends() {
        for name in [
            "flags_requests_duration_ms",
            "flags_queue_time_ms",
            "flags_db_connection_time",
            "flags_rate_limit_check_ms",
            "flags_token_extract_ms",
            "feature_flags_stage_duration_seconds",
            DENSE_NAME,
        ] {
            assert!(bounds_of(name).is_sorted_by(|one, next| one < next), "{name}");
        }
    }

    #[test]
    fn the_dense_list_is_fine_where_requests_are_and_bounded() {
        assert!((150..=210).contains(&DENSE.len()), "{}", DENSE.len());
        for pair in DENSE.windows(2) {
            let width = pair[1] / pair[0] - 1.0;
            let wanted = if (20e-6..500e-6).contains(&pair[0]) {
                0.031
            } else {
                0.26
            };
            assert!(width < wanted, "{pair:?} is {width} wide");
        }
        assert_eq!(DENSE.last(), Some(&10.0));
    }
}
