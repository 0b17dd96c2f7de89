//! Hostile definitions: whatever document comes in, import and compilation answer, within bounds, and every
//! flag that loads can be evaluated.
//!
//! `tests/fuzz/definitions/` holds documents worth keeping; each is replayed. A document that once failed goes
//! there. `PROPTEST_CASES=10000 PROPTEST_RNG_SEED=1 cargo test --release --test fuzz_definitions` searches further.

#[path = "support/case.rs"]
mod case;
#[path = "support/load.rs"]
mod load;
#[path = "reference/mod.rs"]
mod reference;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::definition::document::parse;
use feature_flags::snapshot::ProjectSnapshot;
use feature_flags::store::embedded::{EmbeddedStore, ImportError};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

/// Far above what any of these documents takes; reached only when something grows without a bound.
const PATIENCE: Duration = Duration::from_secs(30);

/// Imports, loads, compiles and evaluates; says how many flags were compiled, or `None` for a refused document.
fn swallow(document: &[u8]) -> Option<usize> {
    let started = Instant::now();
    let store = Arc::new(EmbeddedStore::temporary().expect("a temporary store"));
    match store.import(document) {
        Err(ImportError::Problems { problems, .. }) => {
            assert!(!problems.is_empty() && problems.iter().all(|problem| problem.path.starts_with('$')));
            return None;
        }
        Err(ImportError::Store(error)) => panic!("the store failed: {error}"),
        Ok(_) => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let mut compiled = 0;
    for project in runtime.block_on(store.projects()).expect("the store reads") {
        let raw = runtime.block_on(load::load(&store, &project.token));
        let snapshot = ProjectSnapshot::build(&raw.expect("the token is known"));
        compiled += snapshot.project.flags().len();
        let asked = json!({ "distinct_id": "somebody", "evaluation_runtime": "all", "groups": { "company": "acme" },
            "person_properties": { "plan": "pro", "email": "a".repeat(60) + "!", "version": "1.2.3", "age": 31 } });
        case::run_compiled(&asked, &snapshot.project, usize::MAX);
    }
    assert!(started.elapsed() < PATIENCE, "took {:?}", started.elapsed());
    Some(compiled)
}

fn project(flags: Vec<Value>, cohorts: Vec<Value>) -> Vec<u8> {
    json!({ "team": { "id": 1, "api_token": "phc_fuzz" }, "flags": flags, "cohorts": cohorts,
        "group_type_mapping": { "0": "company" } })
    .to_string()
    .into_bytes()
}

fn flag(id: usize, filters: &Value) -> Value {
    json!({ "id": id, "key": format!("flag-{id}"), "active": true, "filters": filters })
}

fn depends_on(id: usize) -> Value {
    json!({ "key": id.to_string(), "type": "flag", "operator": "flag_evaluates_to", "value": true })
}

#[test]
fn a_long_chain_of_flags() {
    let flags = (1..=2_000)
        .map(|id| match id {
            1 => flag(1, &json!({ "groups": [{}] })),
            _ => flag(id, &json!({ "groups": [{ "properties": [depends_on(id - 1)] }] })),
        })
        .collect();
    assert_eq!(swallow(&project(flags, Vec::new())), Some(2_000));
}

#[test]
fn everything_depends_on_everything() {
    let flags = (1..=120)
        .map(|id| {
            flag(
                id,
                &json!({ "groups": [{ "properties": (1..=120).map(depends_on).collect::<Vec<_>>() }] }),
            )
        })
        .collect();
    assert_eq!(swallow(&project(flags, Vec::new())), Some(120));
}

#[test]
fn deep_and_cyclic_cohorts() {
    let refers = |id: usize, to: usize| {
        json!({ "id": id, "name": format!("cohort {id}"), "filters": { "properties": { "type": "AND", "values": [
            { "type": "AND", "values": [{ "key": "id", "type": "cohort", "value": to }] }] } } })
    };
    let cohorts = (1..=3_000)
        .map(|id| refers(id, id + 1))
        .chain([refers(3_001, 2_990)])
        .collect();
    let targeting = |id: usize, cohort: usize| {
        flag(
            id,
            &json!({ "groups": [{ "properties": [{ "key": "id", "type": "cohort", "value": cohort }] }] }),
        )
    };
    assert_eq!(
        swallow(&project(vec![targeting(1, 1), targeting(2, 2_995)], cohorts)),
        Some(2)
    );
}

#[test]
fn thousands_of_variants_conditions_and_contexts() {
    let variants: Vec<Value> = (0..5_000)
        .map(|at| json!({ "key": format!("variant-{at}"), "rollout_percentage": 0.02 }))
        .collect();
    let groups: Vec<Value> = (0..5_000)
        .map(|at| {
            json!({ "properties": [{ "key": "age", "type": "person", "operator": "exact", "value": at }],
            "rollout_percentage": 50, "variant": format!("variant-{at}") })
        })
        .collect();
    let mut large = flag(
        1,
        &json!({ "groups": groups, "multivariate": { "variants": variants } }),
    );
    large["evaluation_contexts"] = (0..1_000).map(|at| json!(format!("context-{at}"))).collect();
    assert_eq!(swallow(&project(vec![large], Vec::new())), Some(1));
}

#[test]
fn patterns_that_explode() {
    let patterns = [
        "(a+)+$",
        "^(?=(a+)+$)(a+)+$",
        "(a|a)*b",
        "a{2,1}",
        "[",
        "(?<=a{1,1000})b",
        "(.*)*\\\\1",
        "\\p{Greek}{500}",
    ];
    let flags = patterns
        .iter()
        .enumerate()
        .map(|(at, pattern)| {
            flag(
                at + 1,
                &json!({ "groups": [{ "properties": [
                { "key": "email", "type": "person", "operator": "regex", "value": pattern }] }] }),
            )
        })
        .collect();
    assert_eq!(swallow(&project(flags, Vec::new())), Some(patterns.len()));
}

#[test]
fn kept_documents_are_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/definitions");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        swallow(&std::fs::read(entry.expect("an entry").path()).expect("a document reads"));
        replayed += 1;
    }
    assert!(replayed >= 4, "{replayed} documents");
}

/// One change somewhere in a document: another type, a huge number, a missing or repeated part.
fn mutate(value: &mut Value, path: &mut impl Iterator<Item = usize>, replacement: &Value) {
    let Some(step) = path.next() else {
        *value = replacement.clone();
        return;
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            let at = step % items.len();
            mutate(&mut items[at], path, replacement);
        }
        Value::Object(entries) if !entries.is_empty() => {
            let at = step % entries.len();
            if let Some(entry) = entries.values_mut().nth(at) {
                mutate(entry, path, replacement);
            }
        }
        other => *other = replacement.clone(),
    }
}

fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[[[]]]])),
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        Just(json!(1e308)),
        Just(json!(-0.0)),
        "\\PC{0,12}".prop_map(|text| json!(text)),
        Just(json!("flag_evaluates_to")),
        Just(json!("2024-02-30")),
        Just(json!("9999y")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(20_261_122), ..ProptestConfig::with_cases(150) })]

    #[test]
    fn mutated_documents_are_refused_or_work(
        seed in 0..1_000_000_u64,
        changes in prop::collection::vec((prop::collection::vec(0..64_usize, 1..9), replacement()), 1..4),
    ) {
        let case = reference::generate::case(seed);
        let flags: Vec<Value> = case.flags.clone();
        let mut document: Value =
            serde_json::from_slice(&project(flags, case.cohorts.clone())).expect("a document is JSON");
        for (path, replacement) in &changes {
            mutate(&mut document, &mut path.iter().copied(), replacement);
        }
        swallow(document.to_string().as_bytes());
    }

    #[test]
    fn any_bytes_parse_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let parsed = parse(&bytes);
        prop_assert!(parsed.documents.is_empty() || parsed.notes.problems.is_empty() || !bytes.is_empty());
    }
}
