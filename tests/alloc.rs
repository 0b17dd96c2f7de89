//! Allocations of warm requests, counted: none inside decode, plan, evaluate and encode.
//!
//! A thread counts its own: what the writer of the log takes is not the worker's.

#[path = "../benches/support/workload.rs"]
#[allow(dead_code, reason = "shared with benches and examples")]
mod workload;

#[path = "support/geoip.rs"]
mod mmdb;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use feature_flags::config::Config;
use feature_flags::context::geo::GeoLookup;
use feature_flags::engine::FlagValue;
use feature_flags::evaluation::{Scratch, evaluate_now};
use feature_flags::http::{AppState, DefinitionsStores, Stores, handle};
use feature_flags::snapshot::{BoxFuture, ProjectSnapshot};
use feature_flags::store::embedded::{EmbeddedCookieless, EmbeddedStore};
use feature_flags::store::geoip::GeoDatabase;
use feature_flags::telemetry::log::{Level, LogSettings, install_to, logger};
use feature_flags::wire::query::Compression;
use feature_flags::wire::response::Shape;
use feature_flags::wire::scratch::DecodeScratch;
use feature_flags::wire::{BodyFormat, Kludges, decode};
use serde_json::{Value, json};

/// Counts calls that take memory.
struct Counting;

thread_local! {
    // Made at compile time and without a destructor, so that reaching it takes no memory itself.
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    TAKEN.set(TAKEN.get() + 1);
}

// SAFETY: every call is handed to the system allocator unchanged; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's obligations are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, that is from the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}

/// Allocations of each stage over all bodies, after a first pass that warms every buffer.
fn stages(snapshot: &ProjectSnapshot, bodies: &[Vec<u8>], format: BodyFormat<'_>, shape: Shape) -> [u64; 3] {
    let mut memory = DecodeScratch::new();
    let mut evaluation = Scratch::default();
    let mut answer = Vec::new();
    let settings = workload::settings(None);
    let mut counts = [0; 3];
    for pass in 0..2 {
        for body in bodies {
            let mut decoded = None;
            let in_decode = allocations(|| {
                decoded = decode(&mut memory, body, format, &mut Kludges::default()).ok();
            });
            let decoded = decoded.expect("every body here is a request");
            let request = decoded.request();
            let mut errors = true;
            let in_evaluate = allocations(|| {
                errors = workload::evaluate_now(snapshot, &request, &settings, &mut evaluation).errors;
            });
            assert!(!errors && !evaluation.results().is_empty());
            let in_encode =
                allocations(|| workload::encode_answer(snapshot, &evaluation, errors, shape, &mut answer));
            if pass == 1 {
                counts[0] += in_decode;
                counts[1] += in_evaluate;
                counts[2] += in_encode;
            }
        }
    }
    counts
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(body.len())];
    let length = compressor
        .gzip_compress(body, &mut out)
        .expect("the bound is enough");
    out.truncate(length);
    out
}

fn base64(body: &[u8]) -> Vec<u8> {
    base64_simd::STANDARD.encode_to_string(body).into_bytes()
}

fn form(body: &[u8]) -> Vec<u8> {
    let text = base64_simd::STANDARD.encode_to_string(body);
    format!(
        "data={}",
        text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
    )
    .into_bytes()
}

/// A flag for every operator family, cohorts, groups, dependencies and contexts, and requests that bring every
/// property along.
fn rich() -> (ProjectSnapshot, Vec<Vec<u8>>) {
    let filters = [
        json!({"key": "plan", "type": "person", "operator": "exact", "value": ["pro", "free"]}),
        json!({"key": "plan", "type": "person", "operator": "is_not", "value": "pro"}),
        json!({"key": "name", "type": "person", "operator": "icontains", "value": "PERSON"}),
        json!({"key": "name", "type": "person", "operator": "not_icontains_multi", "value": ["x", "y"]}),
        json!({"key": "name", "type": "person", "operator": "starts_with", "value": "per"}),
        json!({"key": "email", "type": "person", "operator": "ends_with", "value": ".com"}),
        json!({"key": "email", "type": "person", "operator": "regex", "value": "^[a-z0-9-]+@example\\.com$"}),
        json!({"key": "seats", "type": "person", "operator": "gt", "value": 10}),
        json!({"key": "seats", "type": "person", "operator": "exact", "value": 10}),
        json!({"key": "seats", "type": "person", "operator": "between", "value": [1, 30]}),
        json!({"key": "app_version", "type": "person", "operator": "semver_gte", "value": "1.4.0"}),
        json!({"key": "app_version", "type": "person", "operator": "semver_caret", "value": "2.0.0"}),
        json!({"key": "signed_up", "type": "person", "operator": "is_date_after", "value": "-30d"}),
        json!({"key": "signed_up", "type": "person", "operator": "is_date_before", "value": "2025-01-01"}),
        json!({"key": "is_staff", "type": "person", "operator": "exact", "value": "true"}),
        json!({"key": "$os_name", "type": "person", "operator": "is_set"}),
        json!({"key": "$initial_os", "type": "person", "operator": "is_not_set"}),
    ];
    let mut flags: Vec<Value> = filters
        .iter()
        .enumerate()
        .map(|(at, filter)| {
            json!({ "id": at + 1, "key": format!("operator-{at}"), "active": true,
                "filters": { "groups": [{ "properties": [filter], "rollout_percentage": 60 }],
                    "multivariate": { "variants": [
                        { "key": "a", "rollout_percentage": 50 }, { "key": "b", "rollout_percentage": 50 }] },
                    "payloads": { "a": "{\"x\": 1}" } } })
        })
        .collect();
    flags.push(
        json!({ "id": 101, "key": "depends", "active": true, "evaluation_contexts": ["app"],
        "filters": { "groups": [{ "properties": [
            {"key": "1", "type": "flag", "operator": "flag_evaluates_to", "value": true}] }] } }),
    );
    flags.push(json!({ "id": 102, "key": "held-out", "active": true,
        "filters": { "groups": [{}], "holdout": { "id": 3, "exclusion_percentage": 20 } } }));
    let project = workload::project(&json!({ "flags": flags })).expect("the flags parse");
    let bodies = (0..200)
        .map(|number| {
            let mut body: Value = serde_json::from_str(&workload::body(number)).expect("a body is JSON");
            body["person_properties"]["$os_name"] = json!("iOS");
            body["person_properties"]["$initial_os"] = json!("iOS");
            body["evaluation_contexts"] = json!(["app", "docs"]);
            if number % 2 == 0 {
                body["flag_keys"] = json!(["depends", "operator-3", "held-out", "unknown"]);
            }
            body.to_string().into_bytes()
        })
        .collect();
    (ProjectSnapshot::build(&project), bodies)
}

#[test]
fn a_warm_worker_allocates_nothing_between_decode_and_encode() {
    let plain: Vec<Vec<u8>> = (0..500)
        .map(|number| workload::body(number).into_bytes())
        .collect();
    let text = |content_type| BodyFormat {
        content_type: Some(content_type),
        ..BodyFormat::default()
    };
    let encoded = |encode: fn(&[u8]) -> Vec<u8>| plain.iter().map(|body| encode(body)).collect::<Vec<_>>();
    let forms = BodyFormat {
        compression: Some(Compression::Base64),
        ..text("application/x-www-form-urlencoded")
    };
    for flags in [10, 50, 250, 1000] {
        let snapshot = workload::snapshot(flags).expect("the workload is there");
        for shape in [Shape::V2, Shape::Legacy, Shape::Decide2, Shape::Decide1] {
            assert_eq!(
                stages(&snapshot, &plain, workload::JSON, shape),
                [0; 3],
                "{flags} flags, {shape:?}"
            );
        }
        let gzipped = BodyFormat {
            content_encoding: Some("gzip"),
            ..workload::JSON
        };
        assert_eq!(
            stages(&snapshot, &encoded(gzip), gzipped, Shape::V2),
            [0; 3],
            "{flags} flags, gzip"
        );
        let wrapped = stages(&snapshot, &encoded(base64), text("text/plain"), Shape::V2);
        assert_eq!(wrapped, [0; 3], "{flags} flags, base64");
        assert_eq!(
            stages(&snapshot, &encoded(form), forms, Shape::V2),
            [0; 3],
            "{flags} flags, form"
        );
    }
    let (snapshot, bodies) = rich();
    assert_eq!(
        stages(&snapshot, &bodies, workload::JSON, Shape::V2),
        [0; 3],
        "every operator"
    );
    locations();
    // A known key costs no allocation.
    const LIMITED: [(&str, &str); 6] = [
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", "1000000"),
        ("FLAGS_BUCKET_CAPACITY", "1000000"),
    ];
    let unwatched = [whole_requests(&[]), whole_requests(&LIMITED)];
    install_to(
        LogSettings {
            level: Some(Level::Info),
            pretty: false,
            sample_rate: 1.0,
            queue_max: 4096,
            read_agent: |_| (None, None),
        },
        Box::new(std::io::sink()),
    );
    let with_metrics = [&LIMITED[..], &[("ENABLE_METRICS", "true")]].concat();
    let watched = [
        whole_requests(&[("ENABLE_METRICS", "true")]),
        whole_requests(&with_metrics),
    ];
    assert_eq!(watched, unwatched, "metrics and log take no memory on the way");
    assert!(flush_log(), "every line was written");
    // The counter works: an allocation is seen.
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 1);
}

/// A location is looked up and used without an allocation, and makes a stored person unnecessary.
fn locations() {
    let filter =
        |key: &str, value: &str| json!({"key": key, "type": "person", "operator": "exact", "value": value});
    let project = json!({ "flags": [
        { "id": 1, "key": "france", "active": true, "filters": { "groups": [
            { "properties": [filter("$geoip_country_code", "FR"), filter("$geoip_city_name", "Paris")] }] } },
    ] });
    let snapshot = ProjectSnapshot::build(&workload::project(&project).expect("the flag parses"));
    let writer =
        mmdb::MmdbWriter::city(6, 28).network("81.2.69.0/24", mmdb::full_record("FR", "Paris", "75001"));
    let database = GeoDatabase::from_bytes(writer.bytes()).expect("a database");
    let geo = GeoLookup::new(Arc::new(database));
    let settings = workload::settings(None);
    let mut memory = DecodeScratch::new();
    let mut evaluation = Scratch::default();
    let body = br#"{"token": "phc_x", "distinct_id": "user-1"}"#;
    let decoded = decode(&mut memory, body, workload::JSON, &mut Kludges::default()).ok();
    let decoded = decoded.expect("the body is a request");
    let mut on = |address: [u8; 4]| {
        let mut report = None;
        let taken = allocations(|| {
            let location = geo.locate(address.into());
            let scope = workload::scope(Some(&location));
            let request = decoded.request();
            report = evaluate_now(&snapshot.project, &request, &scope, &settings, &mut evaluation);
        });
        assert!(!report.is_some_and(|report| report.location_differs));
        let decided = report.map(|_| evaluation.results()[0].value == FlagValue::On);
        (decided, taken)
    };
    on([81, 2, 69, 160]);
    assert_eq!(on([81, 2, 69, 161]), (Some(true), 0));
    // What the caller says is counted when it is something else.
    let told = br#"{"token": "phc_x", "distinct_id": "user-1", "person_properties":
        {"$geoip_country_code": "FR", "$geoip_city_name": "Lyon"}}"#;
    let mut memory = DecodeScratch::new();
    let decoded = decode(&mut memory, told, workload::JSON, &mut Kludges::default()).ok();
    let location = geo.locate([81, 2, 69, 160].into());
    let scope = workload::scope(Some(&location));
    let report = evaluate_now(
        &snapshot.project,
        &decoded.expect("the body is a request").request(),
        &scope,
        &settings,
        &mut Scratch::default(),
    );
    assert!(report.is_some_and(|report| report.location_differs));
    // Elsewhere is nowhere: the stored person has to be asked.
    assert_eq!(on([8, 8, 8, 8]), (None, 0));
}

fn flush_log() -> bool {
    logger().is_some_and(|logger| logger.flush(std::time::Duration::from_secs(20)) && logger.dropped() == 0)
}

/// Allocations of whole requests through the HTTP handler, hyper's own parsing and writing apart.
fn whole_requests(variables: &[(&'static str, &'static str)]) -> Vec<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/loadtest/workloads/flags-50.json");
    let store = Arc::new(EmbeddedStore::temporary().expect("a temporary store"));
    let document = std::fs::read(path).expect("the workload is there");
    let mut document: Value = serde_json::from_slice(&document).expect("JSON");
    document["config"] = serde_json::from_str(include_str!("hypercache/config.json")).expect("JSON");
    let domains = ["https://a.example", "https://*.shop.example", "https://b.example"];
    document["config"]["sessionRecording"]["domains"] = json!(domains);
    store.import(document.to_string().as_bytes()).expect("it imports");
    let variables: std::collections::HashMap<&str, &str> = variables.iter().copied().collect();
    let config = Config::read(&variables).expect("the settings are valid");
    let projects = store.project_source(&feature_flags::snapshot::TieredSettings::default());
    let state = AppState::new(
        &config,
        Stores {
            definitions: DefinitionsStores {
                source: Arc::clone(&projects) as _,
                rebuilds: None,
                auth: store.auth(false),
            },
            projects: projects as _,
            persons: store,
            cookieless: Arc::new(EmbeddedCookieless::default()),
            geo: None,
            retries: Arc::default(),
            check: Box::new(|| -> BoxFuture<'static, Result<(), String>> { Box::pin(async { Ok(()) }) }),
        },
    );
    let plain = whole_request_counts(&runtime, &state, "/flags/?v=2", "https://shop.example");
    let most = plain.iter().max().copied().unwrap_or_default();
    println!("allocations of a whole request, from headers read to answer ready: {most}");
    // The answer's buffer and its shared handle, the headers' two tables, and what a larger answer than the
    // last one grows by.
    assert!(most <= 8, "{plain:?}");
    // Config fields are copied: they cost none, wherever the page is from.
    for (path, origin) in [
        ("/flags/?v=2&config=true", "https://eu.shop.example"),
        ("/flags/?v=2&config=true", "https://shop.example"),
        ("/flags/?v=2&config=true", "null"),
    ] {
        let counts = whole_request_counts(&runtime, &state, path, origin);
        assert_eq!(
            counts.iter().min(),
            plain.iter().min(),
            "{path} {origin}: {counts:?}"
        );
        assert!(
            counts.iter().max() <= plain.iter().max(),
            "{path} {origin}: {counts:?}"
        );
    }
    plain
}

/// Of each of a hundred warm requests.
fn whole_request_counts(
    runtime: &tokio::runtime::Runtime,
    state: &AppState,
    path: &str,
    origin: &str,
) -> Vec<u64> {
    let mut counts = Vec::new();
    for number in 0..200 {
        let body = workload::body(number).replace("phc_workload", "phc_workload_50");
        let request = hyper::Request::post(path)
            .header("origin", origin)
            .header("content-type", "application/json")
            .header("user-agent", "posthog-python/7.91.1")
            .body(http_body_util::Full::new(bytes::Bytes::from(body)))
            .expect("a request");
        let before = TAKEN.get();
        let answer = runtime.block_on(handle(state, std::net::Ipv4Addr::LOCALHOST.into(), request));
        counts.push(TAKEN.get() - before);
        assert_eq!(answer.status(), 200);
    }
    counts.split_off(100)
}
