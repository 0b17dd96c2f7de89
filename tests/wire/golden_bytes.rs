//! Every shape of an answer, byte for byte: status, headers in order and body of fixed requests at a fixed time.
//!
//! `UPDATE_GOLDEN=1 cargo test --release --test wire golden_bytes` writes `tests/golden/responses.txt`; the commit says why.

use std::fmt::Write as _;
use std::sync::Arc;

use feature_flags::engine::Instant;
use feature_flags::http::Clock;
use feature_flags::store::embedded::EmbeddedStore;
use serde_json::{Value, json};

use crate::harness::Harness;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/responses.txt");
const JSON: &str = "content-type: application/json";
const BODY: &[u8] =
    br#"{"token": "phc_bytes", "distinct_id": "user-1", "person_properties": {"plan": "pro"}}"#;

/// Name, request line, body.
const REQUESTS: [(&str, &str, &[u8]); 17] = [
    ("version 2", "POST /flags/?v=2", BODY),
    ("version 1", "POST /flags?v=1", BODY),
    ("decide 4", "POST /decide/?v=4", BODY),
    ("decide 3", "POST /decide/?v=3", BODY),
    ("decide 2", "POST /decide/?v=2", BODY),
    ("decide 1", "POST /decide/?v=1", BODY),
    ("version 2 with config", "POST /flags/?v=2&config=true", BODY),
    ("version 1 with config", "POST /flags/?v=1&config=true", BODY),
    (
        "flags disabled",
        "POST /flags/?v=2",
        br#"{"token": "phc_bytes", "distinct_id": "user-1", "disable_flags": true}"#,
    ),
    (
        "chosen flags",
        "POST /flags/?v=2",
        br#"{"token": "phc_bytes", "distinct_id": "user-1", "flag_keys_to_evaluate": ["on"]}"#,
    ),
    (
        "unknown token",
        "POST /flags/?v=2",
        br#"{"token": "phc_nobody", "distinct_id": "user-1"}"#,
    ),
    ("no token", "POST /flags/?v=2", b"{}"),
    ("no distinct id", "POST /flags/?v=2", br#"{"token": "phc_bytes"}"#),
    ("no JSON", "POST /flags/?v=2", b"{"),
    ("wrong method", "PUT /flags/?v=2", b"{}"),
    ("preflight", "OPTIONS /flags/?v=2", b""),
    ("no such path", "GET /nowhere", b""),
];

/// A flag of every kind of record: on, a variant with a payload, not matched, out of rollout, held out, failed.
fn document() -> Value {
    let plan = |value: &str| json!([{"key": "plan", "type": "person", "operator": "exact", "value": value}]);
    let flag = |id: u32, filters: Value| json!({ "id": id, "key": KEYS[id as usize - 1], "active": true, "version": id, "filters": filters });
    let all = json!([{ "properties": [], "rollout_percentage": 100 }]);
    json!({
        "team": { "id": 9, "api_token": "phc_bytes", "name": "Bytes", "timezone": "UTC" },
        "config": serde_json::from_str::<Value>(include_str!("../hypercache/config.json")).unwrap(),
        "flags": [
            flag(1, json!({ "groups": all, "payloads": { "true": "{\"a\": \"\u{e9}\\n\"}" } })),
            flag(2, json!({ "groups": [{ "properties": plan("free") }, { "properties": plan("pro") }],
                "multivariate": { "variants": [{ "key": "blue \"quoted\"", "rollout_percentage": 100 }] },
                "payloads": { "blue \"quoted\"": "[1, 2.50]" } })),
            flag(3, json!({ "groups": [{ "properties": plan("free") }] })),
            flag(4, json!({ "groups": [{ "properties": [], "rollout_percentage": 0 }] })),
            flag(5, json!({ "groups": all, "holdout": { "id": 3, "exclusion_percentage": 100 } })),
            flag(6, json!({ "groups": [{ "properties": [
                { "key": "id", "type": "cohort", "operator": "in", "value": 2_000_000_000 }] }] })),
        ],
    })
}

const KEYS: [&str; 6] = [
    "on",
    "variant",
    "not matched",
    "rolled out to nobody",
    "held out",
    "failed",
];

#[test]
fn every_shape_byte_for_byte() {
    let store = EmbeddedStore::temporary().unwrap();
    store.import(document().to_string().as_bytes()).unwrap();
    let now = Instant {
        seconds: 1_767_268_800,
        nanos: 123_000_000,
    };
    let server = Harness::serving(&[("SKIP_WRITES", "true")], Arc::new(store), Clock::Fixed(now));
    let mut got = String::new();
    for (name, line, body) in REQUESTS {
        let headers = [
            JSON,
            "origin: https://shop.example",
            "x-request-id: 0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
        ];
        let answer = server.client().request(line, &headers, body);
        writeln!(got, "## {name}: {line}\n{}", answer.status).unwrap();
        for (name, value) in answer
            .headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("date"))
        {
            writeln!(got, "{name}: {value}").unwrap();
        }
        writeln!(got, "\n{}\n", answer.text()).unwrap();
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(PATH, &got).unwrap();
    }
    let wanted = std::fs::read_to_string(PATH).expect("tests/golden/responses.txt is there");
    for (number, (got, wanted)) in got.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(
            got,
            wanted,
            "response bytes differ from tests/golden/responses.txt, line {}",
            number + 1
        );
    }
    assert_eq!(got, wanted, "response bytes differ in length");
}
