//! The judgement on a recorded pair of equal builds (`stable.prom`, `canary.prom`), resampled.

use feature_flags::canary::bootstrap::Dice;
use feature_flags::canary::histogram::{Cell, Histogram};
use feature_flags::canary::verdict::{Rule, Verdict, judge};
use feature_flags::canary::{Sample, exposition};

/// Requests of each resampling.
const REQUESTS: u64 = 20_000;

fn recorded(text: &str) -> Sample {
    let reading = exposition::parse(text.as_bytes()).expect("a recorded text is an exposition");
    reading.sample().expect("its buckets accumulate")
}

fn pair() -> [Sample; 2] {
    [
        recorded(include_str!("stable.prom")),
        recorded(include_str!("canary.prom")),
    ]
}

/// As many values, drawn one by one with replacement, each `factor` times as long.
fn resampled(sample: &Sample, factor: f64, dice: &mut Dice) -> Sample {
    let cells = sample.latency.cells();
    let ends: Vec<_> = cells
        .iter()
        .scan(0, |end, cell| {
            *end += cell.count;
            Some(*end)
        })
        .collect();
    let mut counts = vec![0; cells.len()];
    for _ in 0..REQUESTS {
        let rank = (dice.unit() * sample.latency.total() as f64) as u64;
        counts[ends.partition_point(|end| *end <= rank)] += 1;
    }
    let cells = cells.iter().zip(counts).map(|(cell, count)| Cell {
        low: cell.low * factor,
        high: cell.high * factor,
        count,
    });
    let mut answers = sample.answers;
    answers.total = REQUESTS;
    Sample {
        latency: Histogram::new(cells).expect("cells ascend"),
        answers,
    }
}

fn verdict(factor: f64, seed: u64) -> Verdict {
    let [stable, canary] = pair();
    let mut dice = Dice::new(seed);
    let (stable, canary) = (
        resampled(&stable, 1.0, &mut dice),
        resampled(&canary, factor, &mut dice),
    );
    let rule = Rule {
        seed,
        ..Rule::default()
    };
    judge(&stable, &canary, &rule).verdict
}

#[test]
fn a_hundred_resamplings_of_equal_builds_pass() {
    let failed: Vec<_> = (1..=100)
        .map(|seed| (seed, verdict(1.0, seed)))
        .filter(|(_, verdict)| *verdict != Verdict::Pass)
        .collect();
    assert_eq!(failed, []);
}

#[test]
fn a_hundred_resamplings_of_a_build_that_is_a_fifth_slower_fail() {
    let missed: Vec<_> = (1..=100)
        .map(|seed| (seed, verdict(1.2, seed)))
        .filter(|(_, verdict)| *verdict != Verdict::Fail)
        .collect();
    assert_eq!(missed, []);
}

#[test]
fn one_error_in_a_hundred_fails_and_one_in_ten_thousand_does_not() {
    let [stable, canary] = pair();
    let mut dice = Dice::new(1);
    let stable = resampled(&stable, 1.0, &mut dice);
    let mut canary = resampled(&canary, 1.0, &mut dice);
    canary.answers.server_errors = REQUESTS / 100;
    assert_eq!(judge(&stable, &canary, &Rule::default()).verdict, Verdict::Fail);
    canary.answers.server_errors = REQUESTS / 10_000;
    assert_eq!(judge(&stable, &canary, &Rule::default()).verdict, Verdict::Pass);
}

#[test]
fn the_slowest_thousandth_is_judged_only_above_its_number() {
    let [stable, canary] = pair();
    let mut dice = Dice::new(1);
    let (stable, canary) = (
        resampled(&stable, 1.0, &mut dice),
        resampled(&canary, 1.0, &mut dice),
    );
    let mut rule = Rule {
        requests_above_p999: REQUESTS,
        ..Rule::default()
    };
    assert_eq!(judge(&stable, &canary, &rule).quantiles[3].verdict, None);
    rule.requests_above_p999 = REQUESTS - 1;
    assert!(judge(&stable, &canary, &rule).quantiles[3].verdict.is_some());
    rule.requests_min = REQUESTS + 1;
    assert_eq!(judge(&stable, &canary, &rule).verdict, Verdict::NotEnoughData);
    let none = Sample {
        latency: Histogram::default(),
        answers: stable.answers,
    };
    rule.requests_min = 0;
    assert_eq!(judge(&none, &canary, &rule).verdict, Verdict::NotEnoughData);
}
