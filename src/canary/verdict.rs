//! The rule: what is compared, and when a difference is a failure.
//!
//! A quantile fails when the whole interval of its ratio is above the limit; it passes when the ratio itself is within the limit. In
//! between more data would decide. A share of errors fails when it is larger than stable's by more than the margin and the test says
//! that this is no chance. One failure fails all; otherwise one row without enough data leaves all undecided.

use super::bootstrap::{Dice, Interval, ratio_interval};
use super::proportion::{Share, p_value};
use super::{Answers, Sample};

/// What is allowed. [`Rule::default`] has the documented defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Largest ratio of canary to stable for p50, p95, p99 and p99.9.
    pub ratios_max: [f64; 4],
    /// By how much canary's share of errors may be above stable's: 0.001 is a tenth of a percentage point.
    pub error_margin: f64,
    /// Largest p-value at which a difference between shares counts.
    pub significance: f64,
    /// Requests of each version below which nothing is judged.
    pub requests_min: u64,
    /// Requests of each version above which p99.9 is judged too.
    pub requests_above_p999: u64,
    /// Bootstrap samples.
    pub rounds: usize,
    /// Share of bootstrap samples within the interval.
    pub confidence: f64,
    /// Of the bootstrap.
    pub seed: u64,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            ratios_max: [1.10, 1.10, 1.15, 1.25],
            error_margin: 0.001,
            significance: 0.01,
            requests_min: 10_000,
            requests_above_p999: 100_000,
            rounds: 2000,
            confidence: 0.95,
            seed: 7,
        }
    }
}

/// Names and shares of the quantiles that are compared.
pub const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];

/// How a row or the whole ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No worse than allowed.
    Pass,
    /// Worse than allowed.
    Fail,
    /// Cannot be said from so few requests.
    NotEnoughData,
}

impl Verdict {
    /// For people and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotEnoughData => "not enough data",
        }
    }

    /// 0, 1, 2.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::NotEnoughData => 2,
        }
    }
}

/// A quantile of both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantileRow {
    /// `p50`.
    pub name: &'static str,
    /// Seconds; `None` without requests.
    pub stable: Option<f64>,
    /// Seconds.
    pub canary: Option<f64>,
    /// Canary's divided by stable's.
    pub ratio: Option<f64>,
    /// That the ratio lies in.
    pub interval: Option<Interval>,
    /// Largest ratio allowed.
    pub limit: f64,
    /// `None`: not judged, because only p99.9 lacks data.
    pub verdict: Option<Verdict>,
}

/// A kind of error of both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareRow {
    /// `5xx`.
    pub name: &'static str,
    /// Stable's.
    pub stable: Share,
    /// Canary's.
    pub canary: Share,
    /// Of the two-proportion test.
    pub p_value: f64,
    /// See [`Verdict`].
    pub verdict: Verdict,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// In the order of [`QUANTILES`].
    pub quantiles: Vec<QuantileRow>,
    /// `5xx`, then `4xx`.
    pub shares: Vec<ShareRow>,
    /// Requests whose latency is known, of stable and canary.
    pub requests: [u64; 2],
    /// Of the whole.
    pub verdict: Verdict,
}

/// Judges. The same samples and rule give the same judgement.
#[must_use]
pub fn judge(stable: &Sample, canary: &Sample, rule: &Rule) -> Judgement {
    let mut dice = Dice::new(rule.seed);
    let requests = [stable.latency.total(), canary.latency.total()];
    let fewest = requests[0].min(requests[1]);
    let quantiles: Vec<_> = QUANTILES
        .into_iter()
        .zip(rule.ratios_max)
        .map(|((name, share), limit)| {
            let (one, other) = (stable.latency.quantile(share), canary.latency.quantile(share));
            let ratio = one
                .zip(other)
                .map(|(one, other)| other / one)
                .filter(|ratio| ratio.is_finite());
            let interval = ratio_interval(
                &stable.latency,
                &canary.latency,
                share,
                rule.rounds,
                rule.confidence,
                &mut dice,
            );
            let known = ratio
                .zip(interval)
                .filter(|_| fewest > 0 && fewest >= rule.requests_min);
            let verdict = if name == "p99.9" && fewest <= rule.requests_above_p999 {
                None
            } else {
                Some(known.map_or(Verdict::NotEnoughData, |(ratio, interval)| {
                    if interval.low > limit {
                        Verdict::Fail
                    } else if ratio <= limit {
                        Verdict::Pass
                    } else {
                        Verdict::NotEnoughData
                    }
                }))
            };
            QuantileRow {
                name,
                stable: one,
                canary: other,
                ratio,
                interval,
                limit,
                verdict,
            }
        })
        .collect();
    /// How many of the answers count.
    type Errors = fn(&Answers) -> u64;
    let kinds: [(&'static str, Errors); 2] = [
        ("5xx", |answers| answers.server_errors),
        ("4xx", |answers| answers.client_errors),
    ];
    let shares: Vec<_> = kinds
        .into_iter()
        .map(|(name, errors)| {
            let share = |answers: &Answers| Share {
                errors: errors(answers),
                total: answers.total,
            };
            let (one, other) = (share(&stable.answers), share(&canary.answers));
            let p_value = p_value(one, other);
            let verdict = if one.total.min(other.total) < rule.requests_min.max(1) {
                Verdict::NotEnoughData
            } else if p_value <= rule.significance && other.value() - one.value() > rule.error_margin {
                Verdict::Fail
            } else {
                Verdict::Pass
            };
            ShareRow {
                name,
                stable: one,
                canary: other,
                p_value,
                verdict,
            }
        })
        .collect();
    let mut verdict = Verdict::Pass;
    for row in quantiles
        .iter()
        .filter_map(|row| row.verdict)
        .chain(shares.iter().map(|row| row.verdict))
    {
        verdict = match (verdict, row) {
            (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
            (Verdict::NotEnoughData, _) | (_, Verdict::NotEnoughData) => Verdict::NotEnoughData,
            _ => Verdict::Pass,
        };
    }
    Judgement {
        quantiles,
        shares,
        requests,
        verdict,
    }
}
