//! Projects over quota (`http.md` 8.2, 10.7, 22.5 L5).

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::http::Clock;
use feature_flags::quota::Resource;
use feature_flags::store::embedded::EmbeddedStore;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::harness::Harness;

const TOKEN: &str = "phc_over_quota";

/// The shortest interval that settings allow, and the margin of a busy machine.
const REFRESH: [(&str, &str); 1] = [("BILLING_LIMITER_CACHE_TTL_SECS", "1")];
const NOTICED_WITHIN: Duration = Duration::from_secs(3);

/// What `config=true` adds.
fn config() -> Value {
    json!({ "hasFeatureFlags": true, "heatmaps": true, "surveys": false, "siteApps": [] })
}

fn document(limited: &[&str]) -> String {
    json!({
        "team": { "id": 7, "api_token": TOKEN },
        "flags": [{ "id": 1, "key": "on", "active": true, "filters": { "groups": [{ "rollout_percentage": 100 }] } }],
        "config": config(),
        "quota_limited": limited,
    })
    .to_string()
}

fn server(limited: &[&str], variables: &[(&str, &str)]) -> Harness {
    let store = EmbeddedStore::temporary().unwrap();
    store.import(document(limited).as_bytes()).unwrap();
    let server = Harness::serving(variables, Arc::new(store), Clock::System);
    if limited.contains(&"feature_flags") {
        until_limited(&server, Resource::FeatureFlags, true);
    }
    server
}

fn until_limited(server: &Harness, resource: Resource, limited: bool) {
    let start = Instant::now();
    while server.app.quota.is_limited(resource, TOKEN) != limited {
        assert!(start.elapsed() < NOTICED_WITHIN, "{resource} {limited}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The answer, without what differs from request to request.
fn ask(client: &mut Client, line: &str, members: Value) -> Map<String, Value> {
    let mut body = json!({ "token": TOKEN, "distinct_id": "ada" });
    body.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    let answer = client.request(
        line,
        &["content-type: application/json"],
        body.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 200, "{line}: {}", answer.text());
    // Twice in the text would be once in the map.
    assert!(answer.text().matches("\"quotaLimited\"").count() <= 1);
    let Value::Object(mut answer) = answer.json() else {
        panic!("{line}: no object")
    };
    assert!(answer.remove("requestId").is_some() && answer.remove("evaluatedAt").is_some());
    answer
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Row L5.
#[test]
fn over_quota_is_200_without_flags_in_every_shape() {
    let mut server = server(&["feature_flags"], &[]);
    let mut client = server.client();
    let v2 = json!({ "errorsWhileComputingFlags": false, "flags": {}, "quotaLimited": ["feature_flags"] });
    let legacy = json!({ "errorsWhileComputingFlags": false, "featureFlags": {}, "featureFlagPayloads": {},
        "quotaLimited": ["feature_flags"] });
    let decide2 = json!({ "featureFlags": {}, "quotaLimited": ["feature_flags"] });
    let decide1 = json!({ "featureFlags": [], "quotaLimited": ["feature_flags"] });
    for (line, expected) in [
        ("POST /flags?v=2", &v2),
        ("POST /flags", &legacy),
        ("POST /flags?v=1", &legacy),
        ("POST /decide?v=4&config=false", &v2),
        ("POST /decide?v=3&config=false", &legacy),
        ("POST /decide?v=2&config=false", &decide2),
        ("POST /decide?v=1&config=false", &decide1),
        ("POST /flags?v=2&only_evaluate_survey_feature_flags=true", &v2),
    ] {
        assert_eq!(
            ask(&mut client, line, json!({})),
            object(expected.clone()),
            "{line}"
        );
    }
    for (line, without_config) in [
        ("POST /flags?v=2&config=true", &v2),
        ("POST /flags?config=true", &legacy),
        ("POST /decide?v=2", &decide2),
        ("POST /decide?v=1", &decide1),
    ] {
        let mut answer = ask(&mut client, line, json!({}));
        for (key, value) in object(config()) {
            assert_eq!(answer.remove(&key), Some(value), "{line}: {key}");
        }
        assert_eq!(answer, object(without_config.clone()), "{line}");
    }
    server.write_usage();
    assert_eq!(server.store.usage_counts().unwrap(), [], "nothing is counted");
}

#[test]
fn quota_is_not_looked_at_when_flags_are_disabled() {
    let server = server(&["feature_flags"], &[]);
    let answer = ask(
        &mut server.client(),
        "POST /flags?v=2",
        json!({ "disable_flags": true }),
    );
    assert_eq!(
        answer,
        object(json!({ "errorsWhileComputingFlags": false, "flags": {} }))
    );
}

/// The order of `http.md` 8.1: steps 6 to 8 come before quota.
#[test]
fn errors_go_before_quota() {
    let server = server(&["feature_flags"], &[]);
    let mut client = server.client();
    for (body, status) in [
        (json!({ "token": TOKEN }), 400),
        (json!({ "distinct_id": "ada" }), 401),
        (json!({ "token": "phc_nobody", "distinct_id": "ada" }), 401),
    ] {
        let answer = client.request(
            "POST /flags?v=2",
            &["content-type: application/json"],
            body.to_string().as_bytes(),
        );
        assert_eq!(answer.status, status, "{body}");
    }
}

#[test]
fn an_import_into_a_running_server_is_noticed_both_ways() {
    let server = server(&[], &REFRESH);
    let mut client = server.client();
    let flags = |client: &mut Client| ask(client, "POST /flags?v=2", json!({}))["flags"].clone();
    assert_eq!(flags(&mut client)["on"]["enabled"], true);
    server
        .store
        .import(document(&["feature_flags"]).as_bytes())
        .unwrap();
    until_limited(&server, Resource::FeatureFlags, true);
    assert_eq!(flags(&mut client), json!({}));
    server.store.import(document(&["recordings"]).as_bytes()).unwrap();
    until_limited(&server, Resource::FeatureFlags, false);
    assert_eq!(flags(&mut client)["on"]["enabled"], true);
    assert!(
        !server.app.quota.is_limited(Resource::Recordings, TOKEN),
        "read without being asked to"
    );
}

#[test]
fn recordings_are_read_when_they_are_checked() {
    let server = server(&["recordings"], &[("FLAGS_SESSION_REPLAY_QUOTA_CHECK", "true")]);
    until_limited(&server, Resource::Recordings, true);
    assert!(!server.app.quota.is_limited(Resource::FeatureFlags, TOKEN));
    assert_eq!(
        ask(&mut server.client(), "POST /flags?v=2", json!({}))["flags"]["on"]["enabled"],
        true
    );
}
