//! Dear requests take turns: what is cheap waits behind one slice at most, and answers do not depend on slices.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use feature_flags::engine::Instant;
use feature_flags::http::{AppState, Clock, handle};
use feature_flags::store::embedded::EmbeddedStore;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use crate::harness::Harness;

const CHEAP: &str = "phc_fair_20";

fn project(flags: usize) -> Value {
    let list: Vec<Value> = (0..flags)
        .map(|at| {
            let needs_person = json!([{ "key": "plan", "value": "pro", "operator": "exact", "type": "person" }]);
            let properties = if at % 7 == 3 { needs_person } else { json!([]) };
            let depends = json!([{ "key": (flags * 10 + at - 1).to_string(), "value": true, "operator": "flag_evaluates_to", "type": "flag" }]);
            let properties = if at % 11 == 5 { depends } else { properties };
            json!({ "id": flags * 10 + at, "key": format!("flag-{at}"), "active": true, "version": 1, "filters": {
                "groups": [{ "properties": properties, "rollout_percentage": 10 + at % 90 }],
                "payloads": { "true": "{\"size\":1}" } } })
        })
        .collect();
    let token = format!("phc_fair_{flags}");
    json!({ "team": { "id": flags, "api_token": token, "name": token, "timezone": "UTC" }, "flags": list })
}

fn body(token: &str, person: bool) -> Value {
    let properties = if person {
        json!({ "plan": "pro" })
    } else {
        json!({})
    };
    json!({ "token": token, "distinct_id": "user-17", "person_properties": properties, "geoip_disable": true })
}

fn server(variables: &[(&str, &str)], sizes: &[usize]) -> Harness {
    let store = EmbeddedStore::temporary().unwrap();
    for size in sizes {
        store.import(project(*size).to_string().as_bytes()).unwrap();
    }
    let server = Harness::serving(
        variables,
        Arc::new(store),
        Clock::Fixed(Instant::from_nanos(1_790_000_000_000_000_000)),
    );
    // From here on every team is held. The first load may outlast a request; it goes on.
    for size in sizes {
        let text = body(&format!("phc_fair_{size}"), true).to_string();
        let held = (0..1_000).any(|_| {
            let headers = ["content-type: application/json"];
            let answer = server
                .client()
                .request("POST /flags?v=2", &headers, text.as_bytes());
            answer.status == 200
        });
        assert!(held, "{size} flags were never loaded");
    }
    server
}

/// Asks in this task, as a connection would; the status.
async fn ask(app: &AppState, body: Value) -> u16 {
    let request = Request::post("/flags?v=2")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let answer = handle(app, IpAddr::V4(Ipv4Addr::LOCALHOST), request).await;
    let status = answer.status().as_u16();
    answer.into_body().collect().await.unwrap();
    status
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// A slice begins; two cheap requests become ready in it.
    Slice(usize),
    /// The one that was ready at once has its turn.
    Ready(usize),
    /// The one that came in over a socket has its turn.
    Arrived(usize),
}

/// Runs dear requests on one thread, with two cheap ones that become ready in every slice; the order of events.
fn events(runtime: &Runtime, app: &Arc<AppState>, dear: Vec<Value>) -> Vec<Event> {
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    runtime.block_on(async {
        let (mut client, server) = tokio::net::UnixStream::pair().unwrap();
        let (notice, mut noticed) = tokio::sync::mpsc::unbounded_channel::<usize>();
        let slices = AtomicUsize::new(0);
        let socket = server.into_std().unwrap();
        let (watched, log) = (Arc::clone(app), Arc::clone(&events));
        app.evaluation.fairness.watch_slices(move || {
            let slice = slices.fetch_add(1, Ordering::Relaxed);
            log.lock().unwrap().push(Event::Slice(slice));
            let (app, log) = (Arc::clone(&watched), Arc::clone(&log));
            tokio::spawn(async move {
                log.lock().unwrap().push(Event::Ready(slice));
                assert_eq!(ask(&app, body(CHEAP, true)).await, 200);
            });
            notice.send(slice).unwrap();
            std::io::Write::write_all(&mut &socket, &[1]).unwrap();
        });
        let (app_too, log) = (Arc::clone(app), Arc::clone(&events));
        let arriving = tokio::spawn(async move {
            let mut byte = [0];
            while client.read_exact(&mut byte).await.is_ok() && byte[0] == 1 {
                let slice = noticed.recv().await.unwrap();
                log.lock().unwrap().push(Event::Arrived(slice));
                assert_eq!(ask(&app_too, body(CHEAP, true)).await, 200);
            }
            client.shutdown().await.unwrap();
        });
        let asked: Vec<_> = dear
            .into_iter()
            .map(|body| {
                let app = Arc::clone(app);
                tokio::spawn(async move { assert_eq!(ask(&app, body).await, 200) })
            })
            .collect();
        for dear in asked {
            dear.await.unwrap();
        }
        // Nothing is left of the last slice.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        arriving.abort();
    });
    let events = events.lock().unwrap();
    events.clone()
}

/// Every cheap request has its turn before the slice after the one in which it became ready.
fn check_order(events: &[Event]) -> usize {
    let mut owed: Vec<Event> = Vec::new();
    let mut slices = 0;
    for event in events {
        match *event {
            Event::Slice(slice) => {
                assert_eq!(owed, [], "cheap requests waited behind slice {slice}");
                owed = vec![Event::Ready(slice), Event::Arrived(slice)];
                slices += 1;
            }
            answered => owed.retain(|event| *event != answered),
        }
    }
    assert_eq!(owed, [], "after the last slice");
    slices
}

fn dear_requests() -> Vec<Value> {
    // Two of each, so that several wait for turns; without its property a person is asked for first.
    [1_000, 10_000]
        .into_iter()
        .flat_map(|flags| [(flags, true), (flags, true), (flags, false)])
        .map(|(flags, person)| body(&format!("phc_fair_{flags}"), person))
        .collect()
}

/// Nothing but turns is waited for, however slow the machine.
const PATIENT: &[(&str, &str)] = &[
    ("THREAD_POOL_CORES", "2"),
    ("REQUEST_TIMEOUT_MS", "600000"),
    ("SNAPSHOT_SOFT_TTL_MS", "600000"),
    ("SNAPSHOT_HARD_TTL_MS", "600000"),
];

const SIZES: [usize; 3] = [20, 1_000, 10_000];

#[test]
fn no_cheap_request_waits_behind_more_than_one_slice() {
    let server = server(PATIENT, &SIZES);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let slices = check_order(&events(&runtime, &server.app, dear_requests()));
    // Four slices of evaluation for 1,000 flags, and more for encoding.
    assert!(slices > 3 * (4 + 2) + 3 * (40 + 20), "{slices} slices");
}

#[test]
fn nor_on_a_worker_of_a_runtime_with_several_threads() {
    let server = server(PATIENT, &SIZES);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    check_order(&events(&runtime, &server.app, dear_requests()));
}

#[test]
fn answers_do_not_depend_on_slices() {
    let whole = server(&[("DEAR_REQUEST_COST", "0")], &[20, 1_000]);
    let sliced = server(&[("DEAR_REQUEST_COST", "1")], &[20, 1_000]);
    let (mut one, mut other) = (whole.client(), sliced.client());
    let few =
        json!({ "token": "phc_fair_1000", "distinct_id": "user-17", "flag_keys": ["flag-5", "flag-7"] });
    let large = json!({ "token": "phc_fair_20", "distinct_id": "user-17", "groups": {}, "more": "x".repeat(100_000) });
    let bodies = [
        body(CHEAP, true),
        body("phc_fair_1000", true),
        body("phc_fair_1000", false),
        few,
        large,
    ];
    for line in [
        "POST /flags?v=2",
        "POST /flags",
        "POST /decide?v=3",
        "POST /decide?v=2",
        "POST /decide",
    ] {
        for body in &bodies {
            let text = body.to_string();
            let headers = [
                "content-type: application/json",
                "x-request-id: 0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
            ];
            let answers =
                [&mut one, &mut other].map(|client| client.request(line, &headers, text.as_bytes()));
            assert_eq!(answers[0].status, 200, "{line}");
            assert_eq!(answers[0].text(), answers[1].text(), "{line}");
        }
    }
}

#[test]
fn dear_requests_wait_outside_and_their_waiting_counts_against_the_deadline() {
    let server = server(
        &[
            ("MAX_CONCURRENCY", "2"),
            ("DEAR_REQUESTS_MAX", "1"),
            ("REQUEST_TIMEOUT_MS", "300"),
        ],
        &[20, 1_000],
    );
    let fairness = Arc::clone(&server.app.evaluation.fairness);
    let held = server.wait_for(fairness.admit());
    // More of them than there are places.
    let mut waiting: Vec<_> = (0..3).map(|_| server.client()).collect();
    let text = body("phc_fair_1000", true).to_string();
    for client in &mut waiting {
        client.send(format!(
            "POST /flags?v=2 HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        ));
    }
    // They end in their deadlines; meanwhile and afterwards the others are answered.
    let cheap = |client: &mut crate::client::Client| {
        let text = body(CHEAP, true).to_string();
        client.request(
            "POST /flags?v=2",
            &["content-type: application/json"],
            text.as_bytes(),
        )
    };
    let mut client = server.client();
    assert_eq!(cheap(&mut client).status, 200);
    for client in &mut waiting {
        let answer = client.answer_to("POST /flags?v=2");
        assert_eq!((answer.status, answer.text()), (503, "Request timed out"));
    }
    assert_eq!(cheap(&mut client).status, 200);
    // So does waiting for a turn: a place alone is not enough.
    drop(held);
    let threads = feature_flags::processors::allowed();
    let turns: Vec<_> = (0..threads).map(|_| server.wait_for(fairness.turn())).collect();
    let answer = client.request(
        "POST /flags?v=2",
        &["content-type: application/json"],
        text.as_bytes(),
    );
    assert_eq!((answer.status, answer.text()), (503, "Request timed out"));
    // Who gave up holds nothing.
    drop(turns);
    let answer = client.request(
        "POST /flags?v=2",
        &["content-type: application/json"],
        text.as_bytes(),
    );
    assert_eq!(answer.status, 200);
}
