//! `feature-flags serve` as a process, over TCP, on real stores.

use std::net::{IpAddr, Ipv4Addr};

use feature_flags::context::cookieless::{HashInput, cookieless_hash, unpadded};
use redis::cmd;
use serde_json::{Value, json};

use crate::mmdb::{MmdbWriter, full_record};
use crate::process::{Process, Reply, command, connected, run, text};
use crate::stores::{Layout, Stores, until};

/// Persons that each project is asked about.
const PERSONS: usize = 200;

/// Imports a document with the command.
async fn imported(stores: &Stores, document: &Value) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("project.json");
    std::fs::write(&file, document.to_string()).expect("written");
    let output = run(connected(stores, &["import", file.to_str().expect("UTF-8")])).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    stores.replicate().await;
}

/// The same, and a server.
async fn serve(stores: &Stores, document: &Value) -> Process {
    imported(stores, document).await;
    Process::serve(connected(stores, &["serve"])).await
}

/// An answer without what no two answers share: when it was made, and its number.
fn comparable(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.body);
    let mut body = reply.body.clone();
    for (before, after) in [("\"requestId\":\"", "\""), ("\"evaluatedAt\":", "}")] {
        let start = body.find(before).expect("the field is there") + before.len();
        let length = body[start..]
            .find([',', after.chars().next().expect("one")])
            .expect("an end");
        body.replace_range(start..start + length, "");
    }
    body
}

/// A document with stored persons and groups of every kind that its conditions tell apart.
fn peopled(document: &str) -> Value {
    let mut document: Value = serde_json::from_str(document).expect("JSON");
    let persons: Vec<Value> = (0..PERSONS)
        .map(|at| {
            json!({
                "distinct_ids": [format!("user-{at}"), format!("phone-{at}")],
                "created_at": "2024-05-01T12:00:00+00:00",
                "properties": {
                    "plan": (["pro", "free", "enterprise"][at % 3]),
                    "email": format!("user{at}@{}", ["example.com", "acme.example", "else.test"][at % 3]),
                    "country": (["DE", "FR", "US", "NO"][at % 4]),
                    "app_version": format!("{}.{}.0", at % 4, at % 7),
                    "age": at, "seats": at / 2, "beta": at % 5 == 0,
                    "signed_up": format!("202{}-03-0{}", at % 6, at % 9 + 1),
                }
            })
        })
        .collect();
    document["persons"] = json!(persons);
    // PostgreSQL always knows whether a flag has an experiment; the file only if the document says so, and then answers show it.
    for flag in document["flags"].as_array_mut().expect("flags") {
        if flag.get("has_experiment").is_none() {
            flag["has_experiment"] = json!(false);
        }
    }
    if document.get("group_type_mapping").is_some() {
        document["groups"] = json!([
            { "group_type_index": 0, "group_key": "acme", "properties": { "tier": "gold" } },
            { "group_type_index": 0, "group_key": "globex", "properties": { "tier": "silver" } }
        ]);
    }
    document
}

async fn same_answers_as_dev(layout: Layout, document: &str) {
    let document = peopled(document);
    let token = document["team"]["api_token"].as_str().expect("a token");
    let stores = Stores::start(layout).await;
    let server = serve(&stores, &document).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("project.json");
    std::fs::write(&file, document.to_string()).expect("written");
    let dev = Process::serve(command(&["dev", "--project", file.to_str().expect("UTF-8")])).await;
    let mut answers = std::collections::HashSet::new();
    for at in 0..PERSONS {
        let mut body = json!({ "token": token, "distinct_id": format!("user-{at}") });
        match at % 4 {
            1 => body["groups"] = json!({ "company": (["acme", "globex", "none"][at % 3]) }),
            2 => body["person_properties"] = json!({ "plan": "pro" }),
            3 => body["distinct_id"] = json!(format!("nobody-{at}")),
            _ => {}
        }
        let answer = comparable(&server.flags(&body).await);
        assert_eq!(answer, comparable(&dev.flags(&body).await), "{body}");
        answers.insert(answer);
    }
    assert!(
        answers.len() > 10,
        "persons are told apart: {} answers",
        answers.len()
    );
}

#[tokio::test]
async fn the_answers_of_a_workload_are_those_of_dev() {
    same_answers_as_dev(
        Layout::Shared,
        include_str!("../../loadtest/workloads/flags-50.json"),
    )
    .await;
}

#[tokio::test]
async fn the_answers_of_the_sdk_fixture_are_those_of_dev() {
    same_answers_as_dev(Layout::PersonsApart, include_str!("../fixtures/sdk_fixture.json")).await;
}

const CONTINUITY: &str = "phc_continuity";

/// One flag with continuity that half of all ids get, and persons who have logged in.
fn continuity() -> Value {
    let persons: Vec<Value> = (0..20)
        .map(|at| json!({ "distinct_ids": [format!("p{at}")], "properties": {} }))
        .collect();
    json!({
        "team": { "id": 5, "api_token": CONTINUITY },
        "flags": [{ "id": 50, "key": "steady", "active": true, "ensure_experience_continuity": true,
                    "filters": { "groups": [{ "properties": [], "rollout_percentage": 50 }] } }],
        "persons": persons
    })
}

async fn steady(server: &Process, distinct_id: &str, anonymous: Option<&str>) -> bool {
    let mut body = json!({ "token": CONTINUITY, "distinct_id": distinct_id });
    if let Some(anonymous) = anonymous {
        body["$anon_distinct_id"] = json!(anonymous);
    }
    server.flags(&body).await.enabled("steady")
}

#[tokio::test]
async fn what_continuity_writes_is_read_by_the_same_request_and_later_ones() {
    let stores = Stores::start(Layout::PersonsApart).await;
    let server = serve(&stores, &continuity()).await;
    let mut moved = 0;
    for at in 0..20 {
        let (person, anonymous) = (format!("p{at}"), format!("anonymous-{at}"));
        let own = steady(&server, &person, None).await;
        let expected = steady(&server, &anonymous, None).await;
        assert_eq!(
            steady(&server, &person, Some(&anonymous)).await,
            expected,
            "{person}"
        );
        assert_eq!(steady(&server, &person, None).await, expected, "{person}, later");
        moved += usize::from(own != expected);
    }
    assert!(moved > 0, "some id was moved by its history");
    assert_eq!(stores.override_rows().await, 20);
}

#[tokio::test]
async fn nothing_is_written_where_writes_are_skipped() {
    let stores = Stores::start(Layout::PersonsApart).await;
    imported(&stores, &continuity()).await;
    let mut command = connected(&stores, &["serve"]);
    command.env("SKIP_WRITES", "true");
    let server = Process::serve(command).await;
    for at in 0..20 {
        let (person, anonymous) = (format!("p{at}"), format!("anonymous-{at}"));
        let own = steady(&server, &person, None).await;
        steady(&server, &person, Some(&anonymous)).await;
        assert_eq!(steady(&server, &person, None).await, own);
    }
    assert_eq!(stores.override_rows().await, 0);
}

#[tokio::test]
async fn processes_share_the_salt_of_cookieless_ids() {
    let stores = Stores::start(Layout::Shared).await;
    let flags: Vec<Value> = (1..=64)
        .map(|id| {
            json!({ "id": id, "key": format!("bit-{id}"), "active": true,
                    "filters": { "groups": [{ "properties": [], "rollout_percentage": 50 }] } })
        })
        .collect();
    let document = json!({
        "team": { "id": 42, "api_token": "phc_cookieless", "cookieless_server_hash_mode": 2, "timezone": "UTC" },
        "flags": flags
    });
    let first = serve(&stores, &document).await;
    let second = Process::serve(connected(&stores, &["serve"])).await;
    let flags = |reply: Reply| reply.json()["flags"].clone();
    let body = |id: &str| json!({ "token": "phc_cookieless", "distinct_id": id });
    let headers = |agent: &str| {
        format!("user-agent: {agent}\r\norigin: https://www.shop.example\r\nx-forwarded-for: 203.0.113.9\r\n")
    };
    let cookieless = body("$posthog_cookieless");
    let one = flags(first.flags_with(&cookieless, &headers("curl/8.5.0")).await);
    let other = flags(second.flags_with(&cookieless, &headers("curl/8.5.0")).await);
    assert_eq!(one, other);
    let stranger = flags(first.flags_with(&cookieless, &headers("Smart Fridge")).await);
    assert_ne!(one, stranger, "64 halves do not agree by chance");

    // The salt that both used makes the id: asked for by its name it has the same flags.
    let mut redis = stores.redis("redis").await;
    let keys: Vec<String> = cmd("KEYS")
        .arg("cookieless_salt:*")
        .query_async(&mut redis)
        .await
        .expect("KEYS");
    let mut ids = Vec::new();
    for key in &keys {
        let salt: String = cmd("GET").arg(key).query_async(&mut redis).await.expect("GET");
        let left: i64 = cmd("TTL").arg(key).query_async(&mut redis).await.expect("TTL");
        assert!((86_000..=86_400).contains(&left), "{key}: {left}");
        let salt = base64_simd::STANDARD.decode_to_vec(salt).expect("base64");
        let input = HashInput {
            team_id: 42,
            ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
            root_domain: "shop.example",
            user_agent: "curl/8.5.0",
            extra: "",
        };
        let hash = cookieless_hash(&salt.try_into().expect("16 bytes"), &input, 0);
        ids.push(flags(
            first
                .flags(&body(&format!("cookieless_{}", unpadded(&hash))))
                .await,
        ));
    }
    // Two salts if the test runs over midnight.
    assert!(keys.len() <= 2 && ids.contains(&one), "{keys:?}");
}

#[tokio::test]
async fn a_malformed_flag_costs_only_itself_and_a_replaced_token_is_refused() {
    let stores = Stores::start(Layout::Shared).await;
    let mut document = json!({
        "team": { "id": 9, "api_token": "phc_before", "uuid": "0191aaaa-0000-7000-8000-000000000009" },
        "flags": [
            { "id": 91, "key": "sound", "active": true, "filters": { "groups": [{ "properties": [] }] } },
            { "id": 92, "key": "broken", "active": true, "filters": { "groups": [] } }
        ]
    });
    let server = serve(&stores, &document).await;
    let ask = async |token: &str| server.flags(&json!({ "token": token, "distinct_id": "a" })).await;
    for key in ["sound", "broken"] {
        assert!(
            ask("phc_before").await.json()["flags"].get(key).is_some(),
            "{key}"
        );
    }
    let broken = r#"{"groups": [{"properties": [{"key": "a", "type": "galaxy"}]}]}"#;
    stores
        .sql(&format!(
            "UPDATE posthog_featureflag SET filters = '{broken}' WHERE id = 92"
        ))
        .await;
    let warmed = run(connected(&stores, &["warm", "--team", "9"])).await;
    assert!(warmed.status.success(), "{}", text(&warmed.stderr));
    // It is left out, as upstream leaves it out of rows (`evaluation.md` 2.5).
    let reply = until("the warmed entry", async || {
        let reply = ask("phc_before").await;
        reply.json()["flags"].get("broken").is_none().then_some(reply)
    })
    .await;
    assert!(reply.enabled("sound"));

    document["team"]["api_token"] = json!("phc_after");
    imported(&stores, &document).await;
    until("the end of the old token", async || {
        (ask("phc_before").await.status == 401).then_some(())
    })
    .await;
    assert!(ask("phc_after").await.enabled("sound"));
    assert_eq!(ask("phc_never").await.status, 401);
}

#[tokio::test]
async fn locations_and_rate_limits_are_those_of_the_embedded_mode() {
    let stores = Stores::start(Layout::Shared).await;
    let document = json!({
        "team": { "id": 11, "api_token": "phc_located" },
        "flags": [{ "id": 111, "key": "france", "active": true, "filters": { "groups": [{ "properties": [
            { "key": "$geoip_country_code", "type": "person", "operator": "exact", "value": "FR" }] }] } }]
    });
    imported(&stores, &document).await;
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("city.mmdb");
    let writer = MmdbWriter::city(6, 28).network("81.2.69.0/24", full_record("FR", "Paris", "75001"));
    std::fs::write(&database, writer.bytes()).expect("written");
    let mut serving = connected(&stores, &["serve"]);
    serving.env("MAXMIND_DB_PATH", &database).envs([
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", "3"),
        ("FLAGS_IP_REPLENISH_RATE", "0.001"),
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_BUCKET_CAPACITY", "4"),
        ("FLAGS_BUCKET_REPLENISH_RATE", "0.001"),
    ]);
    let server = Process::serve(serving).await;
    let from = async |address: &str| {
        let body = json!({ "token": "phc_located", "distinct_id": "a" });
        let reply = server
            .flags_with(&body, &format!("x-forwarded-for: {address}\r\n"))
            .await;
        let enabled = (reply.status == 200).then(|| reply.json()["flags"]["france"]["enabled"].clone());
        (reply.status, enabled)
    };
    for _ in 0..3 {
        assert_eq!(from("81.2.69.7").await, (200, Some(json!(true))));
    }
    assert_eq!(from("81.2.69.7").await, (429, None), "by address");
    assert_eq!(from("8.8.8.8").await, (200, Some(json!(false))));
    assert_eq!(from("9.9.9.9").await, (429, None), "by token");
}
