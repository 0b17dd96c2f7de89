//! The workloads of `loadtest/workloads`, request bodies for them, and the request pipeline in process.

use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use feature_flags::context::geo::GeoProperties;
use feature_flags::context::{ContinuityReadFrom, FactsQuery, GatherError, PersonSource, StoredFacts};
use feature_flags::definition::{RawFlag, RawProject, RawTeam};
use feature_flags::engine::{ContinuityLookups, Instant, Level};
use feature_flags::evaluation::{
    EvaluationPool, EvaluationReport, EvaluationSettings, Fairness, RequestScope, Scratch, evaluate,
};
use feature_flags::quota::{Library, Quota, RequestType, Resource};
use feature_flags::snapshot::{BoxFuture, ProjectSnapshot};
use feature_flags::wire::request::FlagRequest;
use feature_flags::wire::response::{Answer, Caller, ConfigPart, Envelope, Recording, Shape, encode};
use feature_flags::wire::scratch::DecodeScratch;
use feature_flags::wire::{BodyFormat, Kludges, decode};
use serde_json::{Value, json};

/// A stored configuration, with a list of domains.
const CONFIG: &str = include_str!("../../tests/hypercache/config.json");

/// The snapshot of `loadtest/workloads/flags-FLAGS.json`.
pub fn snapshot(flags: usize) -> Result<ProjectSnapshot, Box<dyn Error>> {
    Ok(ProjectSnapshot::build(&workload(flags)?))
}

/// The same with a configuration, which every answer then has.
pub fn snapshot_with_config(flags: usize) -> Result<ProjectSnapshot, Box<dyn Error>> {
    Ok(ProjectSnapshot::build(&RawProject {
        remote_config: Some(CONFIG.to_owned()),
        ..workload(flags)?
    }))
}

fn workload(flags: usize) -> Result<RawProject, Box<dyn Error>> {
    let path = format!(
        "{}/loadtest/workloads/flags-{flags}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    project(&document)
}

/// A project document's flags, without a store.
pub fn project(document: &Value) -> Result<RawProject, Box<dyn Error>> {
    let flags = document["flags"].as_array().ok_or("a project has flags")?;
    Ok(RawProject {
        team: RawTeam {
            id: 1,
            timezone: "UTC".into(),
            ..RawTeam::default()
        },
        flags: flags
            .iter()
            .map(|flag| sonic_rs::from_str::<RawFlag>(&flag.to_string()))
            .collect::<Result<_, _>>()?,
        ..RawProject::default()
    })
}

/// What posthog-python sends, a person each, with every property that the flags look at.
pub fn body(number: usize) -> String {
    let distinct_id = format!("0191f7a2-{:04x}-7e5f-8a6b-{number:012x}", number * 7_919 % 65_536);
    json!({
        "api_key": "phc_workload",
        "distinct_id": distinct_id,
        "groups": {},
        "person_properties": {
            "distinct_id": distinct_id,
            "email": format!("person-{number}@example.com"),
            "name": format!("Person {number}"),
            "plan": (["free", "pro", "enterprise"])[number % 3],
            "country": (["US", "DE", "FR", "BR", "JP"])[number % 5],
            "app_version": format!("{}.{}.{}", 1 + number % 3, number % 10, number % 20),
            "seats": 1 + number % 59,
            "signed_up": format!("20{}-{:02}-{:02}", 21 + number % 6, 1 + number % 12, 1 + number % 28),
            "is_staff": number.is_multiple_of(10),
            "$browser": (["Chrome", "Firefox", "Safari"])[number % 3],
            "$os": (["Mac OS X", "Windows", "Linux"])[number % 3],
        },
        "group_properties": {},
        "geoip_disable": true,
        "device_id": null,
        "sent_at": "2026-01-01T00:00:00+00:00",
    })
    .to_string()
}

/// One worker's memory and what it answers from.
pub struct Pipeline<'p> {
    snapshot: &'p ProjectSnapshot,
    decode: DecodeScratch,
    evaluation: Scratch,
    answer: Vec<u8>,
    settings: EvaluationSettings,
    quota: Quota,
}

impl<'p> Pipeline<'p> {
    /// `pool`: where large stages are evaluated in parallel.
    pub fn new(snapshot: &'p ProjectSnapshot, pool: Option<Arc<EvaluationPool>>) -> Self {
        Self {
            snapshot,
            decode: DecodeScratch::new(),
            evaluation: Scratch::default(),
            answer: Vec::new(),
            settings: settings(pool),
            quota: quota(),
        }
    }

    /// Hashes on that level instead of the processor's best.
    pub fn pin(&mut self, level: Level) {
        self.evaluation = Scratch::with_level(level);
    }

    /// Answers one JSON body in the detailed shape; returns the answer's size.
    pub fn request(&mut self, body: &[u8]) -> usize {
        self.answer(body, JSON, Shape::V2)
    }

    /// Answers one body.
    pub fn answer(&mut self, body: &[u8], format: BodyFormat<'_>, shape: Shape) -> usize {
        let Self {
            snapshot,
            decode: memory,
            evaluation,
            answer,
            settings,
            quota,
        } = self;
        let decoded = decode(memory, black_box(body), format, &mut Kludges::default()).expect("a request");
        let request = decoded.request();
        assert!(!quota.is_limited(Resource::FeatureFlags, request.token.unwrap_or_default()));
        let report = evaluate_now(snapshot, &request, settings, evaluation);
        if report.billable {
            quota.record(RequestType::Decide, snapshot.team.id, Library::Node, NOW.seconds);
        }
        encode_answer(snapshot, evaluation, report.errors, shape, answer);
        black_box(&answer).len()
    }
}

/// The time of every request.
const NOW: Instant = Instant {
    seconds: 1_767_268_800,
    nanos: 0,
};

/// With a thousand projects over quota, ours not among them.
fn quota() -> Quota {
    let quota = Quota::new(1_000, true);
    let limited = (0..1_000).map(|at| format!("phc_limited_{at}").into_boxed_str());
    quota.limits.replace(Resource::FeatureFlags, limited.collect());
    quota
}

/// Settings as the server has them by default.
pub fn settings(pool: Option<Arc<EvaluationPool>>) -> EvaluationSettings {
    EvaluationSettings {
        continuity_lookups: ContinuityLookups::WhenItMatters,
        skip_writes: false,
        persons_deadline: Duration::from_millis(2_500),
        retry_budget: Arc::default(),
        pool,
        fairness: Arc::new(Fairness::off()),
    }
}

/// How SDKs of back ends announce their bodies.
pub const JSON: BodyFormat<'static> = BodyFormat {
    content_type: Some("application/json"),
    content_encoding: None,
    compression: None,
};

/// A request at a fixed time, from a known place or an unknown one.
pub fn scope<'a>(location: Option<&'a GeoProperties<'a>>) -> RequestScope<'a> {
    RequestScope {
        runtime: None,
        survey_only: false,
        now: Instant {
            seconds: 1_767_268_800,
            nanos: 0,
        },
        location,
    }
}

/// Evaluates where nothing has to be waited for.
pub fn evaluate_now(
    snapshot: &ProjectSnapshot,
    request: &FlagRequest<'_>,
    settings: &EvaluationSettings,
    scratch: &mut Scratch,
) -> EvaluationReport {
    let scope = scope(None);
    // As the server does: without a future where nothing has to be waited for.
    if let Some(report) =
        feature_flags::evaluation::evaluate_now(&snapshot.project, request, &scope, settings, scratch)
    {
        return report;
    }
    let evaluation = evaluate(
        &snapshot.project,
        1,
        request,
        &scope,
        &NoPersons,
        settings,
        scratch,
    );
    match pin!(evaluation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(report) => report.expect("a turn on the pool"),
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

/// Config fields for a page of a listed domain, where there is a configuration.
fn config_part(snapshot: &ProjectSnapshot) -> ConfigPart<'_> {
    let Some(fragments) = &snapshot.config else {
        return ConfigPart::Off;
    };
    let caller = || Caller {
        origin: Some(black_box("https://shop.example")),
        ..Caller::default()
    };
    let recording = if fragments.permit_recording(caller) {
        Recording::AsStored
    } else {
        Recording::Refused
    };
    ConfigPart::Of { fragments, recording }
}

/// Writes the last evaluation's records in one shape.
pub fn encode_answer(
    snapshot: &ProjectSnapshot,
    evaluation: &Scratch,
    errors: bool,
    shape: Shape,
    answer: &mut Vec<u8>,
) {
    let envelope = Envelope {
        request_id: "0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
        evaluated_at: 1_767_268_800_000,
        errors,
        quota_limited: false,
        minimal_flag_called_events: false,
        config: config_part(snapshot),
    };
    answer.clear();
    let records = Answer {
        fragments: &snapshot.fragments,
        results: evaluation.results(),
    };
    encode(shape, Some(records), &envelope, answer);
}

/// Nobody is stored: a property that the request does not send is not set.
pub struct NoPersons;

impl PersonSource for NoPersons {
    fn facts<'a>(&'a self, query: &'a FactsQuery) -> BoxFuture<'a, Result<StoredFacts, GatherError>> {
        let groups = query.groups.iter().map(|_| None).collect();
        Box::pin(async move { Ok(StoredFacts { person: None, groups }) })
    }

    fn continuity_write_needed<'a>(
        &'a self,
        _team_id: i32,
        _distinct_ids: &'a [&'a str],
        _flag_keys: &'a [&'a str],
    ) -> BoxFuture<'a, Result<bool, GatherError>> {
        Box::pin(async { Ok(false) })
    }

    fn write_continuity<'a>(
        &'a self,
        _team_id: i32,
        _distinct_ids: &'a [&'a str],
        _flag_keys: &'a [&'a str],
        _hash_key: &'a str,
    ) -> BoxFuture<'a, Result<(), GatherError>> {
        Box::pin(async { Ok(()) })
    }

    fn read_continuity<'a>(
        &'a self,
        _team_id: i32,
        _distinct_ids: &'a [&'a str],
        _from: ContinuityReadFrom,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, GatherError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
