//! Whether one share of errors is larger than another: the two-proportion test, pooled and one-sided.

/// Errors among requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// At most `total`.
    pub errors: u64,
    /// Requests.
    pub total: u64,
}

impl Share {
    /// 0 to 1; 0 without requests.
    #[must_use]
    pub fn value(self) -> f64 {
        if self.total == 0 {
            0.0
        } else {
            self.errors as f64 / self.total as f64
        }
    }
}

/// How likely a difference of at least this size would be if canary's share were not above stable's by more than nothing: the
/// p-value of the pooled z test, one-sided, 1 without a difference or without requests.
#[must_use]
pub fn p_value(stable: Share, canary: Share) -> f64 {
    let (n, m) = (stable.total as f64, canary.total as f64);
    let pooled = (stable.errors as f64 + canary.errors as f64) / (n + m);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let z = (canary.value() - stable.value()) / deviation;
    if z.is_finite() { upper_tail(z) } else { 1.0 }
}

/// Share of a standard normal above `z`; absolute error below 1e-7 (Abramowitz and Stegun 26.2.17).
fn upper_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let polynomial = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * polynomial;
    if z < 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::{Share, p_value, upper_tail};

    #[test]
    fn tails_are_those_of_tables() {
        for (z, tail) in [
            (0.0, 0.5),
            (1.0, 0.158_655),
            (1.959_964, 0.025),
            (-1.644_854, 0.95),
            (3.0, 0.001_350),
        ] {
            assert!((upper_tail(z) - tail).abs() < 1e-6, "{z}");
        }
    }

    #[test]
    fn more_errors_are_seen_and_as_many_or_fewer_are_not() {
        let share = |errors, total| Share { errors, total };
        // z = 2.0226: by hand from the pooled formula.
        assert!((p_value(share(30, 1000), share(48, 1000)) - 0.0189).abs() < 0.001);
        assert!(p_value(share(0, 10_000), share(100, 10_000)) < 1e-6);
        assert!(p_value(share(100, 10_000), share(0, 10_000)) > 0.999);
        assert_eq!(p_value(share(0, 10), share(0, 10)), 1.0);
        assert_eq!(p_value(share(0, 0), share(0, 0)), 1.0);
    }
}
