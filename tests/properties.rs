//! What holds for every project, person and body.

#[path = "support/case.rs"]
mod case;
#[path = "reference/mod.rs"]
mod reference;

use feature_flags::engine::compile;
use feature_flags::evaluation::Fairness;
use feature_flags::wire::response::{Answer, ConfigPart, Envelope, Fragments, Shape, SlicedEncoding, encode};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};

fn generated(seed: u64) -> Value {
    serde_json::to_value(reference::generate::case(seed)).expect("a case serialises")
}

fn rollout_flag(percentage: f64) -> Value {
    json!({ "id": 1, "key": "rollout", "active": true, "filters": {
        "groups": [{ "rollout_percentage": percentage }],
        "multivariate": { "variants": [
            { "key": "a", "rollout_percentage": 33.3 }, { "key": "b", "rollout_percentage": 66.7 }] } } })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(20_261_122), ..ProptestConfig::with_cases(300) })]

    /// Raising a rollout never removes anyone, and never changes the variant of who is in.
    #[test]
    fn raising_a_rollout_removes_nobody(low in 0.0..100.0_f64, more in 0.0..100.0_f64, id in "\\PC{0,60}") {
        let high = (low + more).min(100.0);
        let answer = |share| {
            let case = json!({ "flags": [rollout_flag(share)], "distinct_id": id });
            case::run(&case, usize::MAX).flags["rollout"].clone()
        };
        let (before, after) = (answer(low), answer(high));
        if before.enabled {
            prop_assert!(after.enabled);
            prop_assert_eq!(before.variant, after.variant);
        }
    }

    /// The order of flags in the definitions never changes an answer.
    #[test]
    fn order_of_definitions_does_not_matter(seed in 0..u64::MAX / 2, turn in 1..7_usize) {
        let mut case = generated(seed);
        // Precomputed stages name ids, not positions: they stay right.
        let answers = case::run(&case, usize::MAX);
        let flags = case["flags"].as_array_mut().expect("a list");
        let length = flags.len();
        if length > 0 {
            flags.rotate_left(turn % length);
            flags.reverse();
        }
        let turned = case::run(&case, usize::MAX);
        prop_assert_eq!(answers.flags, turned.flags);
        prop_assert_eq!(answers.errors, turned.errors);
    }

    /// Slices of any size change neither records nor bytes.
    #[test]
    fn slices_change_nothing(seed in 0..u64::MAX / 2, cost in 1..20_000_u64, bytes in 1..3_000_usize, records in 1..7_usize) {
        let case = generated(seed);
        let compiled = compile(&case::project(&case));
        let fragments = Fragments::build(&compiled);
        let whole = case::run_fairly(&case, &compiled, usize::MAX, Fairness::off());
        let sliced = case::run_fairly(&case, &compiled, usize::MAX, Fairness::new(cost, 1, 1));
        prop_assert_eq!(&whole, &sliced);
        let envelope = Envelope {
            request_id: "0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
            evaluated_at: 17,
            errors: whole.0.errors,
            quota_limited: false,
            minimal_flag_called_events: true,
            config: ConfigPart::Off,
        };
        let answer = Answer { fragments: &fragments, results: &whole.1 };
        for shape in [Shape::V2, Shape::Legacy, Shape::Decide2, Shape::Decide1] {
            let (mut at_once, mut in_slices) = (Vec::new(), Vec::new());
            encode(shape, Some(answer), &envelope, &mut at_once);
            let mut encoding = SlicedEncoding::new(shape, answer, &envelope);
            while !encoding.step_of(bytes, records, &mut in_slices) {}
            prop_assert_eq!(String::from_utf8(at_once), String::from_utf8(in_slices));
        }
    }

    /// What is encoded parses back to what was evaluated, in every shape.
    #[test]
    fn encoded_answers_parse_to_the_evaluated_result(seed in 0..u64::MAX / 2) {
        let case = generated(seed);
        let compiled = compile(&case::project(&case));
        let fragments = Fragments::build(&compiled);
        let (answers, results) = case::run_with_results(&case, &compiled, usize::MAX);
        let encoded = |shape| {
            let envelope = Envelope {
                request_id: "0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
                evaluated_at: 17,
                errors: answers.errors,
                quota_limited: false,
                minimal_flag_called_events: false,
                config: ConfigPart::Off,
            };
            let mut out = Vec::new();
            encode(shape, Some(Answer { fragments: &fragments, results: &results }), &envelope, &mut out);
            serde_json::from_slice::<Value>(&out).expect("answers are JSON")
        };
        let (mut values, mut payloads, mut enabled, mut keys) = (Map::new(), Map::new(), Map::new(), Vec::new());
        let detailed = encoded(Shape::V2);
        prop_assert_eq!(&detailed["errorsWhileComputingFlags"], &json!(answers.errors));
        prop_assert_eq!(detailed["flags"].as_object().map(Map::len), Some(answers.flags.len()));
        for (key, answer) in &answers.flags {
            let flag = &detailed["flags"][key];
            prop_assert_eq!(&flag["key"], &json!(key));
            prop_assert_eq!(&flag["enabled"], &json!(answer.enabled));
            prop_assert_eq!(&flag["variant"], &json!(answer.variant));
            prop_assert_eq!(&flag["reason"]["code"], &json!(answer.reason_code));
            prop_assert_eq!(&flag["reason"]["description"], &json!(answer.description));
            prop_assert_eq!(&flag["reason"]["condition_index"], &json!(answer.condition_index));
            prop_assert_eq!(&flag["metadata"]["payload"], &json!(answer.payload));
            prop_assert_eq!(flag.get("failed"), answer.failed.then_some(&Value::Bool(true)));
            let value = answer.variant.as_ref().map_or(json!(answer.enabled), |variant| json!(variant));
            values.insert(key.clone(), value.clone());
            if let Some(payload) = answer.payload.as_ref().filter(|payload| !payload.is_null()) {
                payloads.insert(key.clone(), payload.clone());
            }
            if answer.enabled {
                enabled.insert(key.clone(), value);
                keys.push(json!(key));
            }
        }
        let legacy = encoded(Shape::Legacy);
        prop_assert_eq!(&legacy["featureFlags"], &Value::Object(values));
        prop_assert_eq!(&legacy["featureFlagPayloads"], &Value::Object(payloads));
        prop_assert_eq!(&encoded(Shape::Decide2)["featureFlags"], &Value::Object(enabled));
        let mut listed = encoded(Shape::Decide1)["featureFlags"].as_array().cloned().expect("an array");
        listed.sort_by_key(Value::to_string);
        keys.sort_by_key(Value::to_string);
        prop_assert_eq!(listed, keys);
    }
}
