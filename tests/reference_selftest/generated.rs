//! The generator covers the specification, and shrinking keeps what it is asked to keep.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::reference::model::OPERATORS;
use crate::reference::{
    Case, Reading, Trace, evaluate, evaluate_as, evaluate_traced, generate, golden, minimise,
};

const CASES: u64 = 20_000;
/// Each operator has to match and to miss this often.
const OPERATOR_COUNT_MIN: u64 = 100;

/// What was seen in a number of cases.
#[derive(Default)]
struct Counts {
    trace: Trace,
    reasons: BTreeMap<String, u64>,
    descriptions: BTreeMap<String, u64>,
    enabled: u64,
    variants: u64,
    payloads: u64,
    errors: u64,
    records: u64,
}

impl Counts {
    fn add(&mut self, case: &Case) {
        let outcome = evaluate_traced(case, Reading::default(), &mut self.trace);
        self.errors += u64::from(outcome.errors);
        for flag in outcome.flags.values() {
            *self.reasons.entry(flag.reason_code.clone()).or_default() += 1;
            *self.descriptions.entry(flag.description.clone()).or_default() += 1;
            self.records += 1;
            self.enabled += u64::from(flag.enabled);
            self.variants += u64::from(flag.variant.is_some());
            self.payloads += u64::from(flag.payload.is_some());
        }
    }

    fn merge(&mut self, other: Self) {
        self.trace.merge(other.trace);
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        for (description, count) in other.descriptions {
            *self.descriptions.entry(description).or_default() += count;
        }
        self.enabled += other.enabled;
        self.variants += other.variants;
        self.payloads += other.payloads;
        self.errors += other.errors;
        self.records += other.records;
    }
}

/// The cases are independent; four threads share them.
fn count_in_threads() -> Counts {
    const SHARE: u64 = CASES / 4;
    let mut total = Counts::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                scope.spawn(move || {
                    let mut counts = Counts::default();
                    generate::cases(1 + worker * SHARE, SHARE).for_each(|case| counts.add(&case));
                    counts
                })
            })
            .collect();
        for worker in workers {
            total.merge(worker.join().expect("counting does not panic"));
        }
    });
    total
}

#[test]
fn twenty_thousand_cases_cover_reasons_and_operators() {
    let counts = count_in_threads();
    let Counts {
        trace,
        reasons,
        descriptions,
        enabled,
        variants,
        payloads,
        errors,
        records,
    } = counts;
    eprintln!(
        "{records} records, {enabled} enabled, {variants} variants, {payloads} payloads, {errors} cases with errors"
    );
    eprintln!("{reasons:#?}\n{descriptions:#?}\n{:#?}", trace.operators);
    for (reason, least) in [
        ("super_condition_value", 500),
        ("holdout_condition_value", 500),
        ("condition_match", 5_000),
        ("out_of_rollout_bound", 5_000),
        ("no_condition_match", 5_000),
        ("no_group_type", 500),
        ("missing_dependency", 300),
        ("dependency_not_found_cohort", 50),
        ("dependency_cycle_cohort", 50),
        ("cohort_filters_parsing_error", 50),
        ("flag_data_parsing_error", 100),
    ] {
        let count = reasons.get(reason).copied().unwrap_or_default();
        assert!(count >= least, "{reason}: {count} of {least}");
    }
    // Two richer texts of `no_condition_match`, beside the plain one.
    assert_eq!(
        descriptions
            .keys()
            .filter(|text| text.contains("not evaluated because"))
            .count(),
        1
    );
    assert_eq!(
        descriptions
            .keys()
            .filter(|text| text.starts_with("This condition targets"))
            .count(),
        1
    );
    for operator in OPERATORS {
        let (matched, missed) = trace.operators.get(operator).copied().unwrap_or_default();
        assert!(missed >= OPERATOR_COUNT_MIN, "{operator} missed {missed} times");
        assert!(
            matched >= OPERATOR_COUNT_MIN,
            "{operator} matched {matched} times"
        );
    }
    assert!(
        enabled * 5 > records && enabled * 5 < records * 4,
        "{enabled} of {records} enabled"
    );
    assert!(
        variants > 3_000 && payloads > 3_000,
        "{variants} variants, {payloads} payloads"
    );
    assert!(errors * 3 < CASES, "{errors} cases with errors");
}

#[test]
fn a_seed_names_the_same_case_for_ever() {
    assert_eq!(generate::case(7), generate::case(7));
    assert_ne!(generate::case(7).flags, generate::case(8).flags);
}

#[test]
fn a_case_survives_being_written_and_read() {
    for case in generate::cases(100, 200) {
        let outcome = evaluate(&case);
        let text = golden(&case, &outcome).to_string();
        let again: Case = serde_json::from_str(&text).expect("the golden format is a case");
        assert_eq!(again, case);
        assert_eq!(evaluate(&again), outcome);
    }
}

#[test]
fn the_order_of_flags_does_not_matter() {
    for case in generate::cases(5_000, 1_000) {
        let mut reversed = case.clone();
        reversed.flags.reverse();
        assert_eq!(evaluate(&reversed), evaluate(&case), "{}", case.name);
    }
}

/// 6.6: graph and metadata agree when the writer and the request leave the same flags out.
#[test]
fn metadata_changes_nothing_when_no_request_rule_leaves_flags_out() {
    let mut compared = 0;
    for mut case in generate::cases(20_000, 2_000) {
        case.evaluation_runtime = Some("all".to_owned());
        case.evaluation_contexts = None;
        case.only_evaluate_survey_feature_flags = false;
        for flag in &mut case.flags {
            flag["deleted"] = Value::Bool(false);
        }
        case.evaluation_metadata = None;
        let graph = evaluate(&case);
        case.evaluation_metadata = Some(crate::reference::metadata::write(&case.flags, false));
        assert_eq!(evaluate(&case), graph, "{}", case.name);
        compared += 1;
    }
    assert_eq!(compared, 2_000);
}

#[test]
fn most_cases_have_one_reading() {
    let readings = [
        Reading {
            deleted_is_missing: true,
            ..Reading::default()
        },
        Reading {
            closure_stops_at_left_out: true,
            ..Reading::default()
        },
        Reading {
            skipped_group_is_unknown: true,
            ..Reading::default()
        },
        Reading {
            note_is_shallow: true,
            ..Reading::default()
        },
    ];
    let mut open = [0; 4];
    for case in generate::cases(40_000, 2_000) {
        let outcome = evaluate(&case);
        for (count, reading) in open.iter_mut().zip(readings) {
            *count += i32::from(evaluate_as(&case, reading) != outcome);
        }
    }
    eprintln!("cases open to another reading: {open:?} of 2000");
    assert!(open.iter().all(|count| *count < 100), "{open:?}");
    assert!(open.iter().sum::<i32>() > 0, "the readings differ somewhere");
}

#[test]
fn shrinking_keeps_the_difference_and_little_else() {
    let interesting = |case: &Case| {
        evaluate(case)
            .flags
            .values()
            .any(|flag| flag.reason_code == "dependency_not_found_cohort")
    };
    let case = generate::cases(1, 5_000)
        .find(interesting)
        .expect("such a case is generated");
    let small = minimise(&case, interesting);
    assert!(interesting(&small));
    assert_eq!(small.flags.len(), 1);
    assert!(small.person_properties.is_empty() && small.groups.is_empty() && small.person.is_none());
    let filters = small.flags[0]["filters"]["groups"][0]["properties"]
        .as_array()
        .expect("a filter is needed");
    assert_eq!(filters.len(), 1);
}
