//! Config fields over real stores: the same as from a file, whichever tier has the entry, and constants where none has
//! (`http.md` 11.2, 11.3; `storage.md` 2.4, 3.4, 4.6).

use bytes::Bytes;
use feature_flags::hypercache::EntryKey;
use feature_flags::hypercache::value::{Compression, MISSING, encode};
use redis::cmd;
use serde_json::{Map, Value, json};

use crate::process::{Process, command, connected, run, text};
use crate::stores::{Layout, Stores, until};

const EXAMPLE: &str = include_str!("../hypercache/config.json");
const TEAM: &str = include_str!("../hypercache/full_metadata.json");
const TOKEN: &str = "phc_exampleProjectToken0001";
/// A page that the example's team has listed.
const PAGE: &str = "origin: https://shop.example:8443\r\n";
const OTHER_PAGE: &str = "origin: https://other.example\r\n";

fn team(id: i32) -> Value {
    json!({
        "team": { "id": id, "api_token": format!("phc_{id}") },
        "flags": [{ "id": 10 * id, "key": "on", "active": true, "filters": { "groups": [{}] } }]
    })
}

/// The config fields of an answer that has one flag.
async fn fields(server: &Process, token: &str, headers: &str) -> Value {
    let body = json!({ "token": token, "distinct_id": "user-1" });
    let answer = server.post("/flags?v=2&config=true", &body, headers).await.json();
    assert_eq!(answer["flags"]["on"]["enabled"], json!(true), "{token}");
    let mut fields: Map<String, Value> = answer.as_object().expect("an object").clone();
    for own in ["flags", "errorsWhileComputingFlags", "requestId", "evaluatedAt"] {
        fields.remove(own).expect("every answer has it");
    }
    Value::Object(fields)
}

fn fallback() -> Value {
    json!({
        "hasFeatureFlags": true, "supportedCompression": ["gzip", "gzip-js"], "sessionRecording": false,
        "surveys": false, "heatmaps": false, "capturePerformance": false, "autocaptureExceptions": false,
        "isAuthenticated": false, "toolbarParams": {}, "config": { "enable_collect_everything": true }
    })
}

async fn set(stores: &Stores, key: &EntryKey, value: &[u8]) {
    let mut redis = stores.redis("redis").await;
    let set = cmd("SET")
        .arg(key.redis())
        .arg(value)
        .exec_async(&mut redis)
        .await;
    set.expect("SET");
}

fn key(id: i32) -> EntryKey {
    EntryKey::Config(format!("phc_{id}").into())
}

#[tokio::test]
async fn every_state_of_the_entry_has_its_answer() {
    let mut stores = Stores::start(Layout::Shared).await;
    let warmer = stores.open().await.warmer();
    for id in 1..=9 {
        stores.import_rows(&team(id)).await;
    }
    let object = |id, text: &'static str| {
        let objects = &warmer.objects;
        async move {
            let put = objects.put(&key(id), Bytes::from_static(text.as_bytes())).await;
            put.expect("S3 takes it");
        }
    };
    let plain = |text: &str| encode(text, Compression::Off);
    let in_redis = json!({ "of": "redis" });
    let in_s3 = json!({ "of": "s3" });
    set(&stores, &key(1), &encode(EXAMPLE.trim_end(), Compression::Zstd)).await;
    object(1, r#"{"of": "s3"}"#).await;
    object(2, r#"{"of": "s3"}"#).await;
    set(&stores, &key(3), &plain(MISSING)).await;
    object(3, r#"{"of": "s3"}"#).await;
    set(&stores, &key(4), b"no pickle").await;
    set(&stores, &key(5), &plain("{no JSON")).await;
    set(&stores, &key(6), &plain("[1]")).await;
    // Team 7 has nothing.
    set(&stores, &key(8), &plain("{no JSON")).await;
    object(8, r#"{"of": "s3"}"#).await;
    set(&stores, &key(9), &plain(r#"{"of": "redis"}"#)).await;
    stores.replicate().await;

    let server = Process::serve(connected(&stores, &["serve"])).await;
    let mut sanitised: Value = serde_json::from_str(EXAMPLE).expect("JSON");
    sanitised.as_object_mut().expect("an object").remove("siteAppsJS");
    let recording = sanitised["sessionRecording"].as_object_mut().expect("an object");
    recording.remove("domains").expect("it has them");
    assert_eq!(fields(&server, "phc_1", PAGE).await, sanitised);
    sanitised["sessionRecording"] = json!(false);
    assert_eq!(fields(&server, "phc_1", OTHER_PAGE).await, sanitised);
    for (id, expected) in [
        (2, &in_s3),
        (3, &fallback()),
        (4, &fallback()),
        (5, &fallback()),
        (6, &fallback()),
        (7, &fallback()),
        (8, &in_s3),
        (9, &in_redis),
    ] {
        assert_eq!(
            &fields(&server, &format!("phc_{id}"), PAGE).await,
            expected,
            "team {id}"
        );
    }

    // A held team follows its entry, also when it comes and goes.
    for (value, expected) in [
        (plain(r#"{"of": "redis"}"#), &in_redis),
        (plain(MISSING), &fallback()),
        (plain("[]"), &fallback()),
        (plain(r#"{"of": "redis"}"#), &in_redis),
    ] {
        set(&stores, &key(7), &value).await;
        until("the entry's answer", async || {
            (fields(&server, "phc_7", PAGE).await == *expected).then_some(())
        })
        .await;
    }

    // Without the second tier a team that Redis has no configuration of is answered all the same.
    stores.import_rows(&team(10)).await;
    stores.objects.stop().await;
    assert_eq!(fields(&server, "phc_10", PAGE).await, fallback());
    assert_eq!(fields(&server, "phc_9", PAGE).await, in_redis);
}

/// A project with the settings of the example's team, or these further members.
fn project(others: &Value) -> Value {
    let mut columns: Map<String, Value> = serde_json::from_str(TEAM).expect("JSON");
    for not_in_a_document in ["organization_name", "project_name"] {
        columns.remove(not_in_a_document);
    }
    columns.insert(
        "session_recording_trigger_groups".into(),
        json!({ "version": 2, "groups": [{ "id": "a", "sampleRate": 0.50, "conditions": { "events": ["x", null] } }] }),
    );
    let mut document = json!({
        "team": columns,
        "flags": [{ "id": 1, "key": "on", "active": true, "filters": { "groups": [{}] } }]
    });
    let members = document.as_object_mut().expect("an object");
    members.extend(others.as_object().expect("an object").clone());
    document
}

#[tokio::test]
async fn both_modes_answer_the_same_stored_and_built() {
    let stores = Stores::start(Layout::Shared).await;
    let example: Value = serde_json::from_str(EXAMPLE).expect("JSON");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("project.json");
    let file = file.to_str().expect("UTF-8");
    let variables = [
        ("NEW_ANALYTICS_CAPTURE_ENDPOINT", "/capture/"),
        ("ELEMENT_CHAIN_AS_STRING_EXCLUDED_TEAMS", "1:7"),
    ];
    let mut served: Option<Process> = None;
    for (document, is_built) in [
        (project(&json!({})), true),
        (project(&json!({ "config": example })), false),
        // Settings decide again, although the entry in the caches has what only Django assembles.
        (project(&json!({})), true),
    ] {
        std::fs::write(file, document.to_string()).expect("written");
        let mut import = connected(&stores, &["import", file]);
        import.envs(variables);
        let output = run(import).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        stores.replicate().await;
        let server = match served.take() {
            Some(server) => server,
            None => Process::serve(connected(&stores, &["serve"])).await,
        };
        let mut dev = command(&["dev", "--project", file]);
        dev.envs(variables);
        let dev = Process::serve(dev).await;
        for page in [PAGE, OTHER_PAGE, "", "user-agent: posthog-ios/3\r\n"] {
            let from_file = fields(&dev, TOKEN, page).await;
            until("the same answer", async || {
                (fields(&server, TOKEN, page).await == from_file).then_some(())
            })
            .await;
            if is_built {
                assert_eq!(from_file["analytics"], json!({ "endpoint": "/capture/" }));
                assert!(from_file.get("elementsChainAsString").is_none());
            } else {
                assert_eq!(from_file["elementsChainAsString"], json!(true));
            }
            let recording = &from_file["sessionRecording"];
            if matches!(page, OTHER_PAGE | "") {
                assert_eq!(recording, &json!(false), "{page}");
            } else {
                assert_eq!(
                    recording["version"],
                    json!(if is_built { 2 } else { 1 }),
                    "{page}"
                );
            }
        }
        served = Some(server);
    }
}

#[tokio::test]
async fn suppression_rules_are_built_in_their_order_and_django_s_entries_stay() {
    let stores = Stores::start(Layout::Shared).await;
    for id in 1..=2 {
        stores.import_rows(&team(id)).await;
    }
    stores
        .sql(
            r#"INSERT INTO posthog_errortrackingsuppressionrule (id, team_id, filters, order_key) VALUES
               (gen_random_uuid(), 1, '{"type": "OR", "n": 1.0}', 2), (gen_random_uuid(), 1, '{"type": "AND"}', 1),
               (gen_random_uuid(), 2, '{}', 1)"#,
        )
        .await;
    let django = r#"{"surveys": [{"id": "s"}], "token": "phc_2"}"#;
    set(&stores, &key(2), &encode(django, Compression::Zstd)).await;
    stores.replicate().await;
    let warm = async || {
        let output = run(connected(&stores, &["warm", "--all"])).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        stores.replicate().await;
        text(&output.stdout).trim().to_owned()
    };
    assert_eq!(
        warm().await,
        "2 teams: 7 entries written, 0 unchanged, 1 withheld, 0 sentinels, 0 failed"
    );
    let server = Process::serve(connected(&stores, &["serve"])).await;
    let built = fields(&server, "phc_1", "").await;
    assert_eq!(
        built["errorTracking"],
        json!({ "autocaptureExceptions": false, "suppressionRules": [{ "type": "AND" }, { "type": "OR", "n": 1.0 }] })
    );
    assert_eq!(
        fields(&server, "phc_2", "").await,
        json!({ "surveys": [{ "id": "s" }], "token": "phc_2" })
    );
    // What was built follows the settings that it was built from.
    stores.sql("UPDATE posthog_team SET heatmaps_opt_in = true").await;
    assert_eq!(
        warm().await,
        "2 teams: 3 entries written, 4 unchanged, 1 withheld, 0 sentinels, 0 failed"
    );
    until("the new setting", async || {
        (fields(&server, "phc_1", "").await["heatmaps"] == json!(true)).then_some(())
    })
    .await;
    stores
        .sql("DROP TABLE posthog_errortrackingsuppressionrule")
        .await;
    assert!(
        warm()
            .await
            .starts_with("2 teams: 1 entries written, 6 unchanged, 1 withheld")
    );
}
