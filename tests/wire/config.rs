//! Config fields in answers (`http.md` 3.2, 10, 11; rows R10, R11, V20, V21): passed through from a stored object, or
//! built from the team's settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::http::Clock;
use feature_flags::quota::{Resource, TokenSet};
use feature_flags::store::embedded::EmbeddedStore;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::harness::Harness;

const TOKEN: &str = "phc_exampleProjectToken0001";
const EXAMPLE: &str = include_str!("../hypercache/config.json");
const TEAM: &str = include_str!("../hypercache/full_metadata.json");

/// Members that answers have without `config`.
const OWN: [&str; 7] = [
    "flags",
    "featureFlags",
    "featureFlagPayloads",
    "errorsWhileComputingFlags",
    "requestId",
    "evaluatedAt",
    "minimalFlagCalledEvents",
];

/// All four shapes, with `config` asked for.
const SHAPES: [&str; 5] = [
    "/flags?v=2&config=true",
    "/flags?config=true",
    "/decide",
    "/decide?v=2",
    "/decide?v=4",
];

struct Served {
    server: Harness,
    store: Arc<EmbeddedStore>,
}

impl Served {
    fn start(variables: &[(&str, &str)], document: &Value) -> Self {
        let store = Arc::new(EmbeddedStore::temporary().unwrap());
        store.import(document.to_string().as_bytes()).unwrap();
        let server = Harness::serving(variables, Arc::clone(&store), Clock::System);
        Self { server, store }
    }

    fn client(&self) -> Client {
        self.server.client()
    }
}

/// A team with a flag and these further members.
fn document(others: &Value) -> Value {
    let mut document = json!({
        "team": { "id": 7, "api_token": TOKEN },
        "flags": [{ "id": 1, "key": "on", "active": true, "filters": { "groups": [{}] } }]
    });
    let into = document.as_object_mut().unwrap();
    into.extend(others.as_object().unwrap().clone());
    document
}

fn stored(config: &Value) -> Served {
    Served::start(&[], &document(&json!({ "config": config })))
}

fn settings(columns: &Value) -> Value {
    let mut document = document(&json!({}));
    let team = document["team"].as_object_mut().unwrap();
    team.extend(columns.as_object().unwrap().clone());
    document
}

/// The config fields of an answer, and its flags' member.
fn ask(client: &mut Client, path: &str, headers: &[&str], others: &Value) -> (Map<String, Value>, Value) {
    let mut body = json!({ "token": TOKEN, "distinct_id": "user-1" });
    let members = body.as_object_mut().unwrap();
    members.extend(others.as_object().unwrap().clone());
    let headers = [&["content-type: application/json"], headers].concat();
    let answer = client.request(&format!("POST {path}"), &headers, body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut answer = answer.json().as_object().unwrap().clone();
    let flags = ["flags", "featureFlags"]
        .into_iter()
        .find_map(|name| answer.get(name).cloned());
    for name in OWN {
        answer.remove(name);
    }
    (answer, flags.unwrap())
}

fn fields(client: &mut Client, path: &str, headers: &[&str]) -> Value {
    Value::Object(ask(client, path, headers, &json!({})).0)
}

/// What the example becomes for a page that may be recorded.
fn sanitised() -> Value {
    let mut expected: Value = serde_json::from_str(EXAMPLE).unwrap();
    expected.as_object_mut().unwrap().remove("siteAppsJS").unwrap();
    let recording = expected["sessionRecording"].as_object_mut().unwrap();
    recording.remove("domains").unwrap();
    expected
}

#[test]
fn the_example_is_answered_in_every_shape() {
    let served = stored(&serde_json::from_str(EXAMPLE).unwrap());
    let mut client = served.client();
    let page = ["origin: https://shop.example"];
    for path in SHAPES {
        let (fields, flags) = ask(&mut client, path, &page, &json!({}));
        assert_eq!(Value::Object(fields), sanitised(), "{path}");
        assert!(
            flags == json!(["on"]) || flags.get("on").is_some(),
            "{path}: {flags}"
        );
    }
    // R11: the header makes a request a decide request, in exactly one spelling.
    let marked = |value: &str| [page[0].to_owned(), format!("x-original-endpoint: {value}")];
    let marked_decide = marked("decide");
    let decide = marked_decide.each_ref().map(String::as_str);
    let (fields, flags) = ask(&mut client, "/flags", &decide, &json!({}));
    assert_eq!((Value::Object(fields), flags), (sanitised(), json!(["on"])));
    let marked_other = marked("Decide");
    let other = marked_other.each_ref().map(String::as_str);
    assert_eq!(ask(&mut client, "/flags", &other, &json!({})).0, Map::new());
}

#[test]
fn config_is_read_as_a_switch() {
    let served = stored(&json!({ "only": "this" }));
    let mut client = served.client();
    let with = json!({ "only": "this" });
    for (path, expected) in [
        ("/flags?v=2", &json!({})),
        ("/flags", &json!({})),
        ("/flags?v=2&config=false", &json!({})),
        ("/flags?v=2&config=0", &json!({})),
        ("/flags?v=2&config=No", &json!({})),
        ("/flags?v=2&config=banana", &with),
        ("/flags?v=2&config", &with),
        ("/flags?v=2&config=", &with),
        ("/flags?v=2&config=1", &with),
        ("/decide", &with),
        ("/decide?v=2", &with),
        ("/decide?v=3", &with),
        ("/decide?v=4", &with),
        ("/decide?config=false", &json!({})),
        ("/decide?v=2&config=0", &json!({})),
        ("/decide?v=3&config=off", &json!({})),
        ("/decide?v=4&config=no", &json!({})),
    ] {
        assert_eq!(&fields(&mut client, path, &[]), expected, "{path}");
    }
}

#[test]
fn get_answers_never_look_at_it() {
    let served = stored(&serde_json::from_str(EXAMPLE).unwrap());
    let mut client = served.client();
    for path in ["/flags?v=2&config=true", "/decide?v=2", "/decide"] {
        let answer = client.request(&format!("GET {path}"), &[], b"").json();
        assert_eq!(
            (
                &answer["sessionRecording"],
                answer.get("token"),
                answer.get("surveys")
            ),
            (&json!(false), None, None)
        );
    }
}

#[test]
fn a_request_without_flags_has_its_config() {
    let served = stored(&json!({ "hasFeatureFlags": true, "heatmaps": true }));
    let mut client = served.client();
    for path in SHAPES {
        let (fields, flags) = ask(&mut client, path, &[], &json!({ "disable_flags": true }));
        assert_eq!(
            Value::Object(fields),
            json!({ "hasFeatureFlags": true, "heatmaps": true }),
            "{path}"
        );
        assert!(flags == json!({}) || flags == json!([]), "{path}: {flags}");
    }
    let without_id = br#"{"token": "phc_exampleProjectToken0001", "disable_flags": true}"#;
    let answer = client.request(
        "POST /flags?v=2&config=1",
        &["content-type: application/json"],
        without_id,
    );
    assert_eq!(answer.json()["heatmaps"], json!(true));
}

#[test]
fn internal_and_own_members_of_the_stored_object_are_dropped() {
    let served = stored(&json!({
        "siteAppsJS": ["code"], "siteApps": [{ "id": 12, "url": "/site_app/12/" }], "flags": 1, "featureFlags": 1,
        "featureFlagPayloads": 1, "errorsWhileComputingFlags": 1, "requestId": 1, "evaluatedAt": 1,
        "quotaLimited": ["recordings"], "sdkVersion": { "requested": "1.2" }, "unknown": { "n": 1.0, "é": null }
    }));
    let mut client = served.client();
    for path in SHAPES {
        let (fields, flags) = ask(&mut client, path, &[], &json!({}));
        assert_eq!(
            Value::Object(fields),
            json!({
                "siteApps": [{ "id": 12, "url": "/site_app/12/" }], "sdkVersion": { "requested": "1.2" },
                "unknown": { "n": 1.0, "é": null }
            }),
            "{path}"
        );
        assert_ne!(flags, json!(1));
    }
}

#[test]
fn recording_is_permitted_by_page_or_mobile_sdk() {
    let on = json!({ "endpoint": "/s/" });
    let domains = [
        "https://shop.example",
        "https://*.eu.example",
        "plain.example",
        "http://localhost:8000",
    ];
    let served = stored(&json!({ "sessionRecording": { "endpoint": "/s/", "domains": domains } }));
    let mut client = served.client();
    for (headers, permitted) in [
        (&[][..], false),
        (&["origin: https://shop.example"], true),
        (&["origin: http://SHOP.example:8443"], true),
        (&["referer: https://shop.example/cart?x=1"], true),
        (
            &["origin: https://other.example", "referer: https://shop.example/"],
            true,
        ),
        (
            &[
                "origin: https://other.example",
                "referer: https://other.example/shop.example",
            ],
            false,
        ),
        (&["origin: https://a.b.eu.example"], true),
        (&["origin: https://eu.example"], false),
        (&["origin: https://plain.example"], false),
        (&["origin: http://localhost:3000"], true),
        (&["origin: null"], false),
        (&["origin: https://shop.example.evil.test"], false),
        (&["user-agent: posthog-android/3.1"], true),
        (&["user-agent: posthog-ios/3.1"], true),
        (&["user-agent: MyApp posthog-react-native/3.1"], true),
        (&["user-agent: posthog-flutter/4"], true),
        (&["user-agent: posthog-js/1.2"], false),
        (
            &["user-agent: posthog-ios/1", "origin: https://other.example"],
            true,
        ),
        (&["origin: https://sh\u{f6}p.example"], false),
    ] {
        let expected = if permitted { &on } else { &json!(false) };
        assert_eq!(
            &fields(&mut client, "/flags?v=2&config=1", headers)["sessionRecording"],
            expected,
            "{headers:?}"
        );
    }
    let anybody = stored(&json!({ "sessionRecording": { "endpoint": "/s/", "domains": [] } }));
    assert_eq!(
        fields(&mut anybody.client(), "/decide", &[])["sessionRecording"],
        on
    );
}

#[test]
fn over_the_recordings_quota_nobody_records_and_the_answer_says_so() {
    let served = stored(&json!({
        "sessionRecording": { "endpoint": "/s/" }, "quotaLimited": ["surveys", "recordings"]
    }));
    let mut client = served.client();
    let limits = &served.server.app.quota.limits;
    for path in SHAPES {
        limits.replace(Resource::Recordings, TokenSet::default());
        assert_eq!(
            fields(&mut client, path, &[]),
            json!({ "sessionRecording": { "endpoint": "/s/" }, "quotaLimited": ["surveys"] }),
            "{path}: a stale name is dropped"
        );
        limits.replace(Resource::Recordings, TokenSet::from_iter([TOKEN.into()]));
        assert_eq!(
            fields(&mut client, path, &["user-agent: posthog-ios/1"]),
            json!({ "sessionRecording": false, "quotaLimited": ["surveys", "recordings"] }),
            "{path}"
        );
    }
    assert_eq!(
        fields(&mut client, "/flags?v=2", &[]),
        json!({}),
        "without config nothing of it"
    );
}

/// L5.
#[test]
fn over_the_flags_quota_config_is_answered_and_limits_are_listed_once() {
    let mut served = stored(&json!({ "heatmaps": true, "quotaLimited": ["surveys", "recordings"] }));
    // From here on nobody reads limits from the store.
    served.server.write_usage();
    let mut client = served.client();
    let limits = &served.server.app.quota.limits;
    limits.replace(Resource::FeatureFlags, TokenSet::from_iter([TOKEN.into()]));
    for recordings in [false, true] {
        let limited = if recordings {
            vec![TOKEN.into()]
        } else {
            Vec::new()
        };
        limits.replace(Resource::Recordings, TokenSet::from_iter(limited));
        let mut expected = json!({ "heatmaps": true, "quotaLimited": ["feature_flags", "surveys"] });
        if recordings {
            expected["sessionRecording"] = json!(false);
            expected["quotaLimited"] = json!(["feature_flags", "surveys", "recordings"]);
        }
        for path in SHAPES {
            let (fields, flags) = ask(&mut client, path, &[], &json!({}));
            assert_eq!(Value::Object(fields), expected, "{path}");
            assert!(flags == json!({}) || flags == json!([]), "{path}: {flags}");
        }
        for path in ["/flags?v=2", "/flags", "/decide?config=0"] {
            let (fields, _) = ask(&mut client, path, &[], &json!({}));
            assert_eq!(
                Value::Object(fields),
                json!({ "quotaLimited": ["feature_flags"] }),
                "{path}"
            );
        }
    }
}

#[test]
fn the_example_team_is_answered_from_its_settings() {
    let columns: Value = serde_json::from_str(TEAM).unwrap();
    let mut columns = columns.as_object().unwrap().clone();
    for not_in_a_document in ["organization_name", "project_name"] {
        columns.remove(not_in_a_document);
    }
    let served = Served::start(&[], &settings(&Value::Object(columns)));
    let mut expected = sanitised();
    for (name, value) in [
        ("siteApps", json!([])),
        ("surveys", json!(true)),
        ("isAuthenticated", json!(false)),
        ("toolbarParams", json!({})),
        ("config", json!({ "enable_collect_everything": true })),
    ] {
        expected[name] = value;
    }
    let mut client = served.client();
    for path in SHAPES {
        assert_eq!(
            fields(&mut client, path, &["origin: https://shop.example"]),
            expected,
            "{path}"
        );
    }
    assert_eq!(
        fields(&mut client, "/decide", &["origin: https://other.example"])["sessionRecording"],
        json!(false)
    );
}

#[test]
fn a_team_without_settings_has_the_columns_own_defaults() {
    let served = Served::start(&[], &document(&json!({})));
    assert_eq!(
        fields(&mut served.client(), "/decide", &[]),
        json!({
            "token": TOKEN, "supportedCompression": ["gzip", "gzip-js"], "hasFeatureFlags": true,
            "captureDeadClicks": false,
            "capturePerformance": {
                "network_timing": true, "web_vitals": false, "web_vitals_allowed_metrics": null
            },
            "autocapture_opt_out": false, "autocaptureExceptions": false, "analytics": { "endpoint": "/i/v0/e/" },
            "elementsChainAsString": true, "errorTracking": { "autocaptureExceptions": false, "suppressionRules": [] },
            "logs": { "captureConsoleLogs": false }, "sessionRecording": false, "heatmaps": false,
            "conversations": false, "surveys": false, "productTours": false, "defaultIdentifiedOnly": true,
            "siteApps": [], "isAuthenticated": false, "toolbarParams": {},
            "config": { "enable_collect_everything": true }
        })
    );
}

#[test]
fn an_installation_decides_about_two_members() {
    let variables = [
        ("NEW_ANALYTICS_CAPTURE_ENDPOINT", "/capture/"),
        ("NEW_ANALYTICS_CAPTURE_EXCLUDED_TEAM_IDS", "1:6"),
        ("ELEMENT_CHAIN_AS_STRING_EXCLUDED_TEAMS", "7"),
    ];
    let served = Served::start(&variables, &document(&json!({})));
    let answered = fields(&mut served.client(), "/decide", &[]);
    assert_eq!(answered["analytics"], json!({ "endpoint": "/capture/" }));
    assert!(answered.get("elementsChainAsString").is_none());
    let excluded = [("NEW_ANALYTICS_CAPTURE_EXCLUDED_TEAM_IDS", "all")];
    let served = Served::start(&excluded, &document(&json!({})));
    let answered = fields(&mut served.client(), "/decide", &[]);
    assert!(answered.get("analytics").is_none());
    assert_eq!(answered["elementsChainAsString"], json!(true));
}

#[test]
fn changed_settings_and_objects_are_answered_while_the_server_runs() {
    let served = Served::start(&[], &settings(&json!({ "heatmaps_opt_in": false })));
    let mut client = served.client();
    let until = |client: &mut Client, expected: &dyn Fn(&Value) -> bool| {
        let start = Instant::now();
        while !expected(&fields(client, "/flags?v=2&config=1", &[])) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "the change is not answered"
            );
        }
    };
    until(&mut client, &|fields| fields["heatmaps"] == json!(false));
    let turned_on = settings(
        &json!({ "heatmaps_opt_in": true, "session_recording_opt_in": true,
        "session_recording_trigger_groups": { "version": 2, "groups": [{ "id": "a", "conditions": { "events": ["x"] } }] } }),
    );
    served.store.import(turned_on.to_string().as_bytes()).unwrap();
    until(&mut client, &|fields| fields["heatmaps"] == json!(true));
    let recording = fields(&mut client, "/flags?v=2&config=1", &[])["sessionRecording"].clone();
    assert_eq!(
        (&recording["version"], &recording["triggerGroups"]),
        (
            &json!(2),
            &json!([{ "id": "a", "conditions": { "events": [{ "name": "x" }] } }])
        )
    );
    let with_object = document(&json!({ "config": { "only": "this" } }));
    served.store.import(with_object.to_string().as_bytes()).unwrap();
    until(&mut client, &|fields| *fields == json!({ "only": "this" }));
}
