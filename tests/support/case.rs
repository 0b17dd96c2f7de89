//! Runs a golden case through the real evaluation, with an in-memory person store.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use feature_flags::context::{
    ContinuityReadFrom, FactsQuery, GatherError, PersonSource, StoredFacts, StoredPerson,
};
use feature_flags::definition::{EvaluationMetadata, RawCohort, RawFlag, RawProject, RawTeam};
use feature_flags::engine::value::{Array, Node, Object, OwnedTape, PropertyValue};
use feature_flags::engine::{
    CompiledProject, ContinuityLookups, FlagResult, FlagValue, Instant, Reason, RequestRuntime, compile,
};
use feature_flags::evaluation::{
    EvaluationPool, EvaluationReport, EvaluationSettings, Fairness, RequestScope, Scratch, evaluate,
};
use feature_flags::snapshot::BoxFuture;
use feature_flags::wire::request::FlagRequest;
use serde_json::{Map, Value};

/// What a flag answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub enabled: bool,
    pub variant: Option<String>,
    pub payload: Option<Value>,
    pub reason_code: String,
    pub description: String,
    pub condition_index: Option<u32>,
    pub failed: bool,
}

/// Answers of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    pub flags: BTreeMap<String, Answer>,
    pub errors: bool,
    pub parallel_stages: u32,
}

/// The person store of one case.
struct CaseStore {
    person: Option<StoredPerson>,
    groups: BTreeMap<i32, Map<String, Value>>,
    overrides: Vec<(String, String)>,
}

impl PersonSource for CaseStore {
    fn facts<'a>(&'a self, query: &'a FactsQuery) -> BoxFuture<'a, Result<StoredFacts, GatherError>> {
        let person = self.person.clone().map(|mut person| {
            person
                .static_cohort_ids
                .retain(|id| query.static_cohort_ids.contains(id));
            person
        });
        let groups = query
            .groups
            .iter()
            .map(|(index, _)| self.groups.get(index).cloned())
            .collect();
        Box::pin(async move { Ok(StoredFacts { person, groups }) })
    }

    fn continuity_write_needed<'a>(
        &'a self,
        _team_id: i32,
        _distinct_ids: &'a [&'a str],
        _flag_keys: &'a [&'a str],
    ) -> BoxFuture<'a, Result<bool, GatherError>> {
        Box::pin(async { panic!("golden cases run with writes disabled") })
    }

    fn write_continuity<'a>(
        &'a self,
        _team_id: i32,
        _distinct_ids: &'a [&'a str],
        _flag_keys: &'a [&'a str],
        _hash_key: &'a str,
    ) -> BoxFuture<'a, Result<(), GatherError>> {
        Box::pin(async { panic!("golden cases run with writes disabled") })
    }

    fn read_continuity<'a>(
        &'a self,
        _team_id: i32,
        _distinct_ids: &'a [&'a str],
        _from: ContinuityReadFrom,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, GatherError>> {
        Box::pin(async move { Ok(self.overrides.clone()) })
    }
}

/// The definitions of a case as a project.
pub fn project(case: &Value) -> RawProject {
    let list = |key: &str| {
        case.get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    RawProject {
        team: RawTeam {
            id: 1,
            project_id: 1,
            timezone: case
                .get("timezone")
                .and_then(Value::as_str)
                .unwrap_or("UTC")
                .to_owned(),
            ..RawTeam::default()
        },
        flags: list("flags")
            .iter()
            .map(|flag| sonic_rs::from_str::<RawFlag>(&flag.to_string()).expect("golden flags parse"))
            .collect(),
        malformed_flags: Vec::new(),
        group_types_failed: false,
        cohorts: list("cohorts")
            .iter()
            .map(|cohort| serde_json::from_value::<RawCohort>(cohort.clone()).expect("golden cohorts parse"))
            .collect(),
        group_types: case
            .get("group_type_mapping")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, index)| (index.as_i64().expect("an index") as i32, name.clone()))
            .collect(),
        evaluation_metadata: case
            .get("evaluation_metadata")
            .filter(|metadata| !metadata.is_null())
            .map(|metadata| {
                sonic_rs::from_str::<EvaluationMetadata>(&metadata.to_string()).expect("metadata parses")
            }),
        remote_config: None,
    }
}

fn store(case: &Value) -> CaseStore {
    let person = case
        .get("person")
        .filter(|person| !person.is_null())
        .map(|person| StoredPerson {
            properties: person
                .get("properties")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
            created_at: person
                .get("created_at")
                .and_then(Value::as_str)
                .map(str::to_owned),
            static_cohort_ids: person
                .get("static_cohorts")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_i64)
                .map(|id| id as i32)
                .collect(),
        });
    let mapping = case.get("group_type_mapping").and_then(Value::as_object);
    let groups = case
        .get("stored_group_properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, properties)| {
            let index = mapping?.get(name)?.as_i64()? as i32;
            Some((index, properties.as_object()?.clone()))
        })
        .collect();
    let overrides = case
        .get("hash_key_overrides")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, hash_key)| Some((key.clone(), hash_key.as_str()?.to_owned())))
        .collect();
    CaseStore {
        person,
        groups,
        overrides,
    }
}

fn now(case: &Value) -> Instant {
    let text = case
        .get("now")
        .and_then(Value::as_str)
        .unwrap_or("2024-07-15T12:00:00+00:00");
    let timestamp: jiff::Timestamp = text.parse().expect("golden clocks are RFC 3339");
    Instant::from_nanos(timestamp.as_nanosecond())
}

fn object<'a>(nodes: &'a [Node<'a>]) -> Option<Object<'a>> {
    match PropertyValue::from_tape(nodes) {
        PropertyValue::Object(object) => Some(object),
        _ => None,
    }
}

fn array<'a>(nodes: &'a [Node<'a>]) -> Option<Array<'a>> {
    match PropertyValue::from_tape(nodes) {
        PropertyValue::Array(array) => Some(array),
        _ => None,
    }
}

/// Evaluates a case with the given parallel threshold.
pub fn run(case: &Value, threshold: usize) -> Answers {
    run_compiled(case, &compile(&project(case)), threshold)
}

/// Evaluates a case against its compiled project.
pub fn run_compiled(case: &Value, compiled: &CompiledProject, threshold: usize) -> Answers {
    run_with_results(case, compiled, threshold).0
}

/// As [`run_compiled`], with the records themselves.
pub fn run_with_results(
    case: &Value,
    compiled: &CompiledProject,
    threshold: usize,
) -> (Answers, Vec<FlagResult>) {
    let whole = run_fairly(case, compiled, threshold, Fairness::off());
    // Each flag is a slice of its own, unless the pool is used.
    let sliced = run_fairly(case, compiled, threshold, Fairness::new(1, 1, 1));
    assert_eq!(whole, sliced, "in slices: {case}");
    whole
}

/// As [`run_with_results`], in the slices that are asked for.
pub fn run_fairly(
    case: &Value,
    compiled: &CompiledProject,
    threshold: usize,
    fairness: Fairness,
) -> (Answers, Vec<FlagResult>) {
    let tape = |key: &str| OwnedTape::from_json(case.get(key).unwrap_or(&Value::Null));
    let text = |key: &str| case.get(key).and_then(Value::as_str);
    let (person, groups, group_properties) = (
        tape("person_properties"),
        tape("groups"),
        tape("group_properties"),
    );
    let (keys, contexts) = (tape("flag_keys"), tape("evaluation_contexts"));
    let (person, groups, group_properties) = (person.nodes(), groups.nodes(), group_properties.nodes());
    let (keys, contexts) = (keys.nodes(), contexts.nodes());
    let request = FlagRequest {
        distinct_id: text("distinct_id"),
        person_properties: object(&person),
        groups: object(&groups),
        group_properties: object(&group_properties),
        anon_distinct_id: text("anon_distinct_id"),
        device_id: text("device_id").filter(|id| !id.is_empty()),
        flag_keys: array(&keys),
        evaluation_contexts: array(&contexts),
        ..FlagRequest::default()
    };
    let scope = RequestScope {
        runtime: match text("evaluation_runtime") {
            None => None,
            Some("client") => Some(RequestRuntime::Client),
            Some("server") => Some(RequestRuntime::Server),
            Some(_) => Some(RequestRuntime::All),
        },
        survey_only: case.get("only_evaluate_survey_feature_flags") == Some(&Value::Bool(true)),
        now: now(case),
        location: None,
    };
    let settings = EvaluationSettings {
        continuity_lookups: ContinuityLookups::WhenItMatters,
        skip_writes: true,
        persons_deadline: Duration::from_secs(60),
        retry_budget: Arc::default(),
        pool: (threshold < usize::MAX)
            .then(|| EvaluationPool::new(threshold, 0, Duration::ZERO))
            .flatten()
            .map(Arc::new),
        fairness: Arc::new(fairness),
    };
    let store = store(case);
    let mut scratch = Scratch::default();
    let report = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(evaluate(
            compiled,
            1,
            &request,
            &scope,
            &store,
            &settings,
            &mut scratch,
        ));
    let answers = answers(compiled, &scratch, report.expect("nobody else uses the pool"));
    (answers, scratch.results().to_vec())
}

fn answers(compiled: &CompiledProject, scratch: &Scratch, report: EvaluationReport) -> Answers {
    let flags = scratch
        .results()
        .iter()
        .map(|result| {
            let flag = compiled.flag(result.flag);
            let (variant, payload) = match result.value {
                FlagValue::Off | FlagValue::Failed => (None, None),
                FlagValue::On | FlagValue::OffWithPayload => (None, flag.payload.as_deref()),
                FlagValue::Variant(variant) => {
                    let at = usize::from(variant.0);
                    (
                        Some(flag.variants[at].to_string()),
                        flag.variant_payloads[at].as_deref(),
                    )
                }
            };
            let description = match (result.reason, result.condition_index()) {
                (Reason::ConditionMatch, Some(index)) => {
                    format!("{}{}", result.reason.description(), index + 1)
                }
                (reason, _) => reason.description().to_owned(),
            };
            let answer = Answer {
                enabled: result.is_enabled(),
                variant,
                payload: payload.map(|payload| serde_json::from_str(payload).expect("payloads are JSON")),
                reason_code: result.reason.code().to_owned(),
                description,
                condition_index: result.condition_index(),
                failed: result.value == FlagValue::Failed,
            };
            (flag.key.to_string(), answer)
        })
        .collect();
    Answers {
        flags,
        errors: report.errors,
        parallel_stages: report.parallel_stages,
    }
}
