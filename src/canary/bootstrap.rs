//! Bootstrap intervals for ratios of quantiles.
//!
//! A bootstrap sample of n values, drawn from n values with replacement, has as its k-th smallest the quantile of a share that is
//! distributed as Beta(k, n - k + 1). So one draw of a Beta takes the place of n draws, and millions of requests cost no more than a hundred.

use super::histogram::Histogram;

/// A generator of pseudo-random numbers (SplitMix64): the same numbers for the same seed on every machine.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Any seed is as good as any other.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 even bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Even in (0, 1); never 0 and never 1.
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Gamma with a shape of at least 1 (Marsaglia and Tsang, 2000).
    fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.unit().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Beta, both at least 1.
    fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (one, other) = (self.gamma(a), self.gamma(b));
        one / (one + other)
    }
}

/// A ratio and the interval that it lies in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The quantile of one bootstrap sample.
fn resampled(histogram: &Histogram, share: f64, dice: &mut Dice) -> Option<f64> {
    if histogram.total() == 0 {
        return None;
    }
    let total = histogram.total() as f64;
    let rank = (share * total).ceil().clamp(1.0, total);
    histogram.quantile(dice.beta(rank, total - rank + 1.0))
}

/// Interval of canary's quantile divided by stable's, from `rounds` bootstrap samples of each; `confidence` is the share of samples
/// within it (0.95). `None` when one has no values, or stable's are zero.
#[must_use]
pub fn ratio_interval(
    stable: &Histogram,
    canary: &Histogram,
    share: f64,
    rounds: usize,
    confidence: f64,
    dice: &mut Dice,
) -> Option<Interval> {
    let mut ratios = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let ratio = resampled(canary, share, dice)? / resampled(stable, share, dice)?;
        if !ratio.is_finite() {
            return None;
        }
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    let at = |share: f64| {
        let last = ratios.len().checked_sub(1)?;
        ratios.get((share * last as f64).round() as usize).copied()
    };
    Some(Interval {
        low: at(tail)?,
        high: at(1.0 - tail)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Dice, Interval, ratio_interval, resampled};
    use crate::canary::histogram::Histogram;

    fn even(count: u64) -> Histogram {
        Histogram::from_buckets((1..=100).map(|at| (f64::from(at), count / 100))).unwrap()
    }

    #[test]
    fn one_draw_is_distributed_as_the_quantile_of_a_whole_sample() {
        let histogram = even(1000);
        let mut dice = Dice::new(1);
        let spread = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            (mean, (squares / values.len() as f64).sqrt())
        };
        for share in [0.5, 0.95] {
            let short: Vec<_> = (0..3000)
                .map(|_| resampled(&histogram, share, &mut dice).unwrap())
                .collect();
            let long: Vec<_> = (0..3000)
                .map(|_| {
                    let mut drawn: Vec<_> = (0..1000).map(|_| 100.0 * dice.unit()).collect();
                    drawn.sort_by(f64::total_cmp);
                    drawn[(share * 1000.0) as usize - 1]
                })
                .collect();
            let (one, other) = (spread(&short), spread(&long));
            assert!((one.0 - other.0).abs() < 0.2, "{one:?} {other:?}");
            assert!((one.1 / other.1 - 1.0).abs() < 0.1, "{one:?} {other:?}");
        }
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say_and_shrink_with_more_values() {
        let mut dice = Dice::new(7);
        let width = |interval: Interval| interval.high - interval.low;
        let few = ratio_interval(&even(1000), &even(1000), 0.5, 2000, 0.95, &mut dice).unwrap();
        let many = ratio_interval(&even(100_000), &even(100_000), 0.5, 2000, 0.95, &mut dice).unwrap();
        assert!(few.low < 1.0 && few.high > 1.0);
        assert!((width(few) / width(many) - 10.0).abs() < 1.5, "{few:?} {many:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let once = || ratio_interval(&even(1000), &even(2000), 0.99, 500, 0.95, &mut Dice::new(3));
        assert_eq!(once(), once());
        assert_eq!(
            ratio_interval(
                &even(100),
                &Histogram::default(),
                0.5,
                10,
                0.95,
                &mut Dice::new(3)
            ),
            None
        );
    }
}
