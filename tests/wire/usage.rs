//! What is counted as usage, and what is not (`http.md` 8.2, `storage.md` 6.6, 11).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use feature_flags::http::Clock;
use feature_flags::quota::Bucket;
use feature_flags::store::embedded::EmbeddedStore;
use serde_json::{Value, json};

use crate::harness::Harness;

/// Requests by hash, over all fields.
type Counts = BTreeMap<String, u64>;

fn flag(id: i32, key: &str, more: Value) -> Value {
    let mut flag = json!({ "id": id, "key": key, "active": true,
        "filters": { "groups": [{ "rollout_percentage": 100 }] } });
    flag.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    flag
}

fn project(id: i32, flags: &[Value]) -> Value {
    json!({ "team": { "id": id, "api_token": format!("phc_usage_{id}") }, "flags": flags })
}

/// Teams by what their requests cost.
fn store() -> Arc<EmbeddedStore> {
    let stored = json!({ "filters": { "groups": [{ "rollout_percentage": 100, "properties": [
        { "key": "plan", "type": "person", "operator": "exact", "value": "paid" }] }] } });
    let none = json!({});
    let projects = json!([
        // 1: some of each.
        project(
            1,
            &[
                flag(1, "beta", none.clone()),
                flag(2, "survey-targeting-a", none.clone()),
                flag(3, "product-tour-targeting-b", none.clone()),
            ]
        ),
        // 2: nothing that is billed.
        project(
            2,
            &[
                flag(4, "survey-targeting-a", none.clone()),
                flag(5, "product-tour-targeting-b", none.clone()),
                flag(6, "resting", json!({ "active": false })),
            ]
        ),
        // 3: no flags.
        project(3, &[]),
        // 4: billed for servers only.
        project(
            4,
            &[
                flag(7, "back", json!({ "evaluation_runtime": "server" })),
                flag(8, "survey-targeting-a", none.clone()),
            ]
        ),
        // 5: billed in one context only.
        project(
            5,
            &[
                flag(9, "shop", json!({ "evaluation_contexts": ["checkout"] })),
                flag(10, "survey-targeting-a", none),
            ]
        ),
        // 6: what is stored of a person decides.
        project(6, &[flag(11, "paid", stored)]),
    ]);
    let store = EmbeddedStore::temporary().unwrap();
    store.import(projects.to_string().as_bytes()).unwrap();
    Arc::new(store)
}

fn server(variables: &[(&str, &str)]) -> Harness {
    Harness::serving(variables, store(), Clock::System)
}

/// Sends a request of a team; the status.
fn send(server: &Harness, line: &str, agent: &str, team: i32, members: Value) -> u16 {
    let mut body = json!({ "token": format!("phc_usage_{team}"), "distinct_id": "ada" });
    body.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    let agent = format!("user-agent: {agent}");
    let headers = ["content-type: application/json", agent.as_str()];
    server
        .client()
        .request(line, &headers, body.to_string().as_bytes())
        .status
}

fn counts(server: &mut Harness) -> Counts {
    server.write_usage();
    let mut counts = Counts::new();
    for stored in server.store.usage_counts().unwrap() {
        *counts.entry(stored.key).or_default() += stored.count;
    }
    counts
}

/// How often one request counts for its team. Sent twice: once when the team has to be loaded, once when it is held.
#[track_caller]
fn counted(row: &str, line: &str, agent: &str, team: i32, members: Value, expected: u64) {
    let mut server = server(&[]);
    for _ in 0..2 {
        assert_eq!(send(&server, line, agent, team, members.clone()), 200, "{row}");
    }
    let counts = counts(&mut server);
    let hash = format!("posthog:decide_requests:{team}");
    assert_eq!(
        counts.get(&hash).copied(),
        (expected > 0).then_some(2 * expected),
        "{row}"
    );
    assert_eq!(
        counts.len(),
        if expected > 0 { 2 } else { 0 },
        "{row}: {counts:?}"
    );
}

const V2: &str = "POST /flags?v=2";
const SURVEYS: &str = "POST /flags?v=2&only_evaluate_survey_feature_flags=true";
const CLIENT: &str = "posthog-js/1.2";
const SERVER: &str = "posthog-go/1.2";

#[test]
fn special_requests() {
    let none = json!({});
    counted("plain", V2, CLIENT, 1, none.clone(), 1);
    counted(
        "disable_flags",
        V2,
        CLIENT,
        1,
        json!({ "disable_flags": true }),
        0,
    );
    counted("survey-only", SURVEYS, CLIENT, 1, none.clone(), 0);
    counted("flag_keys", V2, CLIENT, 1, json!({ "flag_keys": ["beta"] }), 1);
    counted("flag_keys, none", V2, CLIENT, 1, json!({ "flag_keys": [] }), 1);
    let survey = json!({ "flag_keys": ["survey-targeting-a"] });
    counted("flag_keys, a survey's", V2, CLIENT, 1, survey, 1);
    counted("team without flags", V2, CLIENT, 3, none.clone(), 0);
    counted("only surveys and tours", V2, CLIENT, 2, none.clone(), 0);
    counted("decide", "POST /decide?v=1", CLIENT, 1, none, 1);
}

#[test]
fn the_filters_of_a_request_decide() {
    let none = json!({});
    counted("client, server flag", V2, CLIENT, 4, none.clone(), 0);
    counted("server, server flag", V2, SERVER, 4, none.clone(), 1);
    counted("unknown, server flag", V2, "x", 4, none.clone(), 0);
    let all = json!({ "evaluation_runtime": "all" });
    counted("all, server flag", V2, CLIENT, 4, all, 1);
    counted("no context", V2, CLIENT, 5, none.clone(), 1);
    let here = json!({ "evaluation_contexts": ["checkout"] });
    counted("shared context", V2, CLIENT, 5, here, 1);
    let elsewhere = json!({ "evaluation_contexts": ["blog"] });
    counted("other context", V2, CLIENT, 5, elsewhere, 0);
    // Waits for the store: counted once all the same.
    counted("stored person", V2, CLIENT, 6, none, 1);
}

#[test]
fn what_is_not_evaluated_is_not_counted() {
    let mut server = server(&[]);
    let none = json!({});
    assert_eq!(
        send(&server, "GET /flags?token=phc_usage_1", CLIENT, 1, none.clone()),
        200
    );
    assert_eq!(send(&server, V2, CLIENT, 99, none.clone()), 401);
    let nobody = json!({ "distinct_id": null });
    assert_eq!(send(&server, V2, CLIENT, 1, nobody), 400);
    assert_eq!(
        send(
            &server,
            "POST /flags?v=2&compression=gzip",
            CLIENT,
            1,
            none.clone()
        ),
        400
    );
    assert_eq!(send(&server, "PUT /flags", CLIENT, 1, none.clone()), 405);
    assert_eq!(send(&server, "HEAD /flags", CLIENT, 1, none), 200);
    assert_eq!(counts(&mut server), Counts::new());
}

#[test]
fn nothing_is_written_under_skip_writes() {
    let mut server = server(&[("SKIP_WRITES", "true")]);
    assert_eq!(send(&server, V2, CLIENT, 1, json!({})), 200);
    assert_eq!(counts(&mut server), Counts::new());
}

/// `http.md` 4.3, by the names of `storage.md` 6.6.
#[test]
fn libraries_are_counted_apart() {
    let agents = [
        ("posthog-js/1.2", "posthog-js"),
        ("Mozilla/5.0 (X11) Firefox/130", "posthog-js"),
        ("posthog-node/4.0 (x)", "posthog-node"),
        ("posthog-python/3.1", "posthog-python"),
        ("posthog-php/3", "posthog-php"),
        ("posthog-ruby/3", "posthog-ruby"),
        ("posthog-go/1", "posthog-go"),
        ("posthog-java/1", "posthog-java"),
        ("posthog-server/1", "posthog-server"),
        ("posthog-dotnet/2.8.4 (Linux)", "posthog-dotnet"),
        ("posthog-elixir/1", "posthog-elixir"),
        ("posthog-android/3", "posthog-android"),
        ("posthog-ios/3", "posthog-ios"),
        ("posthog-react-native/3", "posthog-react-native"),
        ("posthog-flutter/3", "posthog-flutter"),
        ("posthog-rs/0.3", "other"),
        ("curl/8", "other"),
        ("something", "other"),
    ];
    let bucket = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Bucket::of(now.as_secs().cast_signed())
    };
    let from = bucket();
    let mut server = server(&[("FLAGS_BILLING_PER_FLUSH_BATCH_SIZE", "3")]);
    let mut expected = Counts::new();
    for (times, (agent, library)) in agents.into_iter().enumerate() {
        for _ in 0..=times {
            assert_eq!(send(&server, V2, agent, 1, json!({})), 200);
        }
        let times = times as u64 + 1;
        *expected.entry("posthog:decide_requests:1".into()).or_default() += times;
        *expected
            .entry(format!("posthog:decide_requests:sdk:1:{library}"))
            .or_default() += times;
    }
    assert_eq!(counts(&mut server), expected);
    let to = bucket();
    for stored in server.store.usage_counts().unwrap() {
        assert!(stored.field >= from && stored.field <= to, "{stored:?}");
    }
}
