//! One request from end to end, `evaluation.md` section 4.

use serde_json::Value;

use super::conditions::{Context, Recorded};
use super::dates::Clock;
use super::dependencies;
use super::left_out::is_left_out;
use super::model::{Case, Flag};
use super::outcome::{Failure, FlagOutcome, Outcome, Reason};
use super::preparation;
use super::properties::{self, Properties};
use super::reading::Reading;
use super::trace::Trace;

/// The outcome of a case as the reference reads the specification.
pub fn evaluate(case: &Case) -> Outcome {
    evaluate_as(case, Reading::default())
}

/// The outcome under another reading of the open points.
pub fn evaluate_as(case: &Case, reading: Reading) -> Outcome {
    evaluate_traced(case, reading, &mut Trace::default())
}

/// The outcome, counting what happened on the way.
pub fn evaluate_traced(case: &Case, reading: Reading, trace: &mut Trace) -> Outcome {
    let mut flags = case.usable_flags();
    if reading.deleted_is_missing {
        flags.retain(|flag| !flag.is("deleted"));
    }
    // Step 1.
    if flags.iter().all(|flag| is_left_out(case, *flag)) {
        return Outcome::default();
    }
    // Steps 2 to 6.
    let plan = dependencies::plan(case, &flags, reading);
    let prepared = preparation::prepare(case, &flags, &plan);
    let person = Properties {
        values: properties::person(case, prepared.ran),
        partial: false,
    };
    let clock = Clock::of(case);

    // Step 7.
    let mut recorded = Recorded::new();
    for flag in flags.iter().filter(|flag| is_left_out(case, **flag)) {
        recorded.insert(flag.id(), Value::Bool(false));
    }
    // Step 8.
    let mut outcome = Outcome {
        errors: plan.cycle,
        ..Outcome::default()
    };
    for id in plan.stages.iter().flatten() {
        let Some(flag) = flags.iter().copied().find(|flag| flag.id() == *id) else {
            continue;
        };
        if outcome.flags.contains_key(flag.key()) {
            continue;
        }
        let context = Context {
            case,
            reading,
            prepared: &prepared,
            person: &person,
            clock: &clock,
            recorded: &recorded,
        };
        let result = if flag.has_unsupported_version() {
            Err(Failure::UnsupportedVersion)
        } else if plan.missing.contains(id) {
            Ok(FlagOutcome::decided(false, Reason::MissingDependency, None))
        } else {
            context.evaluate(flag, trace)
        };
        if let Some(value) = value_for_dependents(&result) {
            recorded.insert(*id, value);
        }
        outcome.errors |= result.is_err();
        outcome
            .flags
            .insert(flag.key().to_owned(), result.unwrap_or_else(Failure::record));
    }
    outcome
}

/// 2.8; a failed flag has no value, except that an unsupported version counts as `false` (section 19).
fn value_for_dependents(result: &Result<FlagOutcome, Failure>) -> Option<Value> {
    match result {
        Ok(FlagOutcome {
            enabled: true,
            variant: Some(variant),
            ..
        }) => Some(Value::from(variant.as_str())),
        Ok(outcome) => Some(Value::Bool(outcome.enabled)),
        Err(Failure::UnsupportedVersion) => Some(Value::Bool(false)),
        Err(_) => None,
    }
}
