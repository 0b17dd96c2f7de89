//! Experience continuity and freshness, seen from outside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::http::Clock;
use feature_flags::store::embedded::EmbeddedStore;
use serde_json::{Value, json};

use crate::harness::Harness;

/// How long new definitions may take; promised is about a second (`decisions.md` 20: a margin of three).
const FRESH_WITHIN: Duration = Duration::from_secs(3);

/// `continuity.anon-2` hashes to 0.26, `continuity.anon-1` to 0.75, `continuity.user-17` to 0.98.
fn document(rollout: u32) -> Value {
    json!({
        "team": { "id": 1, "api_token": "phc_continuity" },
        "flags": [{ "id": 1, "key": "continuity", "active": true, "ensure_experience_continuity": true,
            "filters": { "groups": [{ "rollout_percentage": rollout }] } }],
        "persons": [{ "distinct_ids": ["user-17"], "properties": {} }],
    })
}

fn store(rollout: u32) -> Arc<EmbeddedStore> {
    let store = EmbeddedStore::temporary().unwrap();
    store.import(document(rollout).to_string().as_bytes()).unwrap();
    Arc::new(store)
}

/// Whether the flag is on for these ids.
fn is_on(server: &Harness, distinct_id: &str, anon: Option<&str>) -> bool {
    let mut body = json!({ "token": "phc_continuity", "distinct_id": distinct_id });
    if let Some(anon) = anon {
        body["$anon_distinct_id"] = json!(anon);
    }
    let answer = server.client().request(
        "POST /flags?v=2",
        &["content-type: application/json"],
        body.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["errorsWhileComputingFlags"], json!(false));
    json["flags"]["continuity"]["enabled"].as_bool().unwrap()
}

#[test]
fn the_first_anonymous_id_is_written_and_kept() {
    let server = Harness::serving(&[], store(30), Clock::System);
    assert!(!is_on(&server, "user-17", None));
    // The anonymous id is inside, and what it saw is recorded for the person.
    assert!(is_on(&server, "user-17", Some("anon-2")));
    assert!(is_on(&server, "user-17", None));
    // Another device comes later: the first writer has won.
    assert!(is_on(&server, "user-17", Some("anon-1")));
}

#[test]
fn unknown_persons_hash_the_anonymous_id_and_leave_no_trace() {
    let server = Harness::serving(&[], store(30), Clock::System);
    assert!(is_on(&server, "nobody", Some("anon-2")));
    assert!(!is_on(&server, "user-17", None));
}

#[test]
fn a_read_only_instance_writes_nothing() {
    let server = Harness::serving(&[("SKIP_WRITES", "true")], store(30), Clock::System);
    assert!(is_on(&server, "user-17", Some("anon-2")));
    assert!(!is_on(&server, "user-17", None));
}

#[test]
fn new_definitions_of_another_process_are_answered_soon() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sqlite");
    let ours = EmbeddedStore::open(&path).unwrap();
    let theirs = EmbeddedStore::open(&path).unwrap();
    let server = Harness::serving(&[], Arc::new(ours), Clock::System);
    let ask = || {
        let body = json!({ "token": "phc_continuity", "distinct_id": "user-17" }).to_string();
        server.client().request(
            "POST /flags?v=2",
            &["content-type: application/json"],
            body.as_bytes(),
        )
    };
    // Unknown, and remembered as such; then imported, then changed.
    assert_eq!(ask().status, 401);
    assert_eq!(ask().status, 401);
    for (rollout, expected) in [(100, true), (1, false), (100, true)] {
        theirs.import(document(rollout).to_string().as_bytes()).unwrap();
        let changed = Instant::now();
        loop {
            let answer = ask();
            if answer.status == 200 && answer.json()["flags"]["continuity"]["enabled"] == json!(expected) {
                break;
            }
            assert!(
                changed.elapsed() < FRESH_WITHIN,
                "still {} {}",
                answer.status,
                answer.text()
            );
            std::thread::yield_now();
        }
    }
}
