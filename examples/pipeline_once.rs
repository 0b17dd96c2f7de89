//! The whole request pipeline in process, for counting instructions: decode, select, plan, evaluate, encode.
//!
//! ```text
//! pipeline_once FLAGS ITERATIONS
//! ```
//!
//! Uses `loadtest/workloads/flags-FLAGS.json` and another person for every iteration.

use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use feature_flags::context::{ContinuityReadFrom, FactsQuery, GatherError, PersonSource, StoredFacts};
use feature_flags::definition::{RawFlag, RawProject, RawTeam};
use feature_flags::engine::{ContinuityLookups, Instant};
use feature_flags::evaluation::{EvaluationSettings, RequestScope, Scratch, evaluate};
use feature_flags::snapshot::{BoxFuture, ProjectSnapshot};
use feature_flags::wire::response::{Answer, Envelope, Shape, encode};
use feature_flags::wire::scratch::DecodeScratch;
use feature_flags::wire::{BodyFormat, Kludges, decode};
use serde_json::{Value, json};

/// Different persons.
const BODIES: usize = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let flags = arguments.next().ok_or("usage: pipeline_once FLAGS ITERATIONS")?;
    let iterations: usize = arguments
        .next()
        .ok_or("usage: pipeline_once FLAGS ITERATIONS")?
        .parse()?;
    let document: Value = serde_json::from_str(&std::fs::read_to_string(format!(
        "{}/loadtest/workloads/flags-{flags}.json",
        env!("CARGO_MANIFEST_DIR")
    ))?)?;
    let snapshot = ProjectSnapshot::build(&project(&document)?);
    let mut pipeline = Pipeline::new(&snapshot);
    // Made whatever the number of iterations, so that a difference of two runs leaves it out.
    let bodies: Vec<String> = (0..BODIES).map(body).collect();
    let mut answered = 0;
    for body in bodies.iter().cycle().take(iterations) {
        answered += pipeline.request(body.as_bytes());
    }
    println!("{iterations} requests, {answered} bytes of answers");
    Ok(())
}

fn project(document: &Value) -> Result<RawProject, Box<dyn Error>> {
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
fn body(number: usize) -> String {
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
            "is_staff": number % 10 == 0,
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

struct Pipeline<'p> {
    snapshot: &'p ProjectSnapshot,
    decode: DecodeScratch,
    evaluation: Scratch,
    answer: Vec<u8>,
    settings: EvaluationSettings,
}

impl<'p> Pipeline<'p> {
    fn new(snapshot: &'p ProjectSnapshot) -> Self {
        Self {
            snapshot,
            decode: DecodeScratch::new(),
            evaluation: Scratch::default(),
            answer: Vec::new(),
            settings: EvaluationSettings {
                continuity_lookups: ContinuityLookups::WhenItMatters,
                skip_writes: false,
                pool: None,
            },
        }
    }

    /// Answers one body; returns the answer's size.
    fn request(&mut self, body: &[u8]) -> usize {
        let format = BodyFormat {
            content_type: Some("application/json"),
            ..BodyFormat::default()
        };
        let decoded =
            decode(&mut self.decode, black_box(body), format, &mut Kludges::default()).expect("a request");
        let request = decoded.request();
        let scope = RequestScope {
            runtime: None,
            survey_only: false,
            now: Instant {
                seconds: 1_767_268_800,
                nanos: 0,
            },
        };
        let source = NoPersons;
        let evaluation = evaluate(
            &self.snapshot.project,
            1,
            &request,
            &scope,
            &source,
            &self.settings,
            &mut self.evaluation,
        );
        let Poll::Ready(report) = pin!(evaluation).poll(&mut Context::from_waker(Waker::noop())) else {
            unreachable!("nothing here waits");
        };
        let envelope = Envelope {
            request_id: "0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
            evaluated_at: 1_767_268_800_000,
            errors: report.expect("no pool").errors,
            quota_limited: false,
            minimal_flag_called_events: false,
            config: false,
        };
        let answer = Answer {
            fragments: &self.snapshot.fragments,
            results: self.evaluation.results(),
        };
        self.answer.clear();
        encode(Shape::V2, Some(answer), &envelope, &mut self.answer);
        black_box(&self.answer).len()
    }
}

/// Nobody is stored: a property that the request does not send is not set.
struct NoPersons;

impl PersonSource for NoPersons {
    fn facts<'a>(&'a self, query: &'a FactsQuery) -> BoxFuture<'a, Result<StoredFacts, GatherError>> {
        let groups = query.groups.iter().map(|_| None).collect();
        Box::pin(async move { Ok(StoredFacts { person: None, groups }) })
    }

    fn continuity_write_needed<'a>(
        &'a self,
        _team_id: i32,
        _distinct_ids: &'a [&'a str],
    ) -> BoxFuture<'a, Result<bool, GatherError>> {
        Box::pin(async { Ok(false) })
    }

    fn write_continuity<'a>(
        &'a self,
        _team_id: i32,
        _distinct_ids: &'a [&'a str],
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
