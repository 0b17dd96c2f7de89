//! What must not be in a recording is not in it, and what is in it still gives the same answers.

use feature_flags::recording::Entry;
use feature_flags::replay::{Request, Tokens};
use serde_json::{Value, json};

use crate::client::Client;
use crate::replaying::{read, replay};
use crate::server::{Server, TOKEN};
use crate::traffic::{ENCODINGS, TARGETS, body, send};

const KEY: &str = "0123456789abcdef-key";

/// In every place of a request where a client can put something that is nobody's business.
fn secretive(number: usize) -> Value {
    let mut body = body(number);
    let secret = |name: &str| format!("secret-{name}-{number}");
    let properties = body["person_properties"].as_object_mut().unwrap();
    properties.insert("name".into(), json!(secret("name")));
    properties.insert(
        "nested".into(),
        json!({ secret("key"): [secret("list"), { "x": secret("deep") }] }),
    );
    properties.insert(
        "list".into(),
        json!([secret("item"), 77_123_456_u64 + number as u64, true, null]),
    );
    properties.insert("number".into(), json!(88_123_456_u64 + number as u64));
    properties.insert("price".into(), json!(1_234_567.25 + number as f64));
    properties.insert("$device_id".into(), json!(secret("device-property")));
    properties.insert("token".into(), json!("phc_another_project"));
    body["groups"]["team"] = json!(secret("unused-group"));
    body["group_properties"]["team"] = json!({ "owner": secret("group-value") });
    body["group_properties"]["company"]["motto"] = json!(secret("motto"));
    body["$anon_distinct_id"] = json!(secret("anon"));
    body["$device_id"] = json!(secret("device"));
    body["cookieless_hash_extra"] = json!(secret("extra"));
    body["flag_keys"] = Value::Null;
    body["ip_address"] = json!(secret("ip"));
    body["properties"] = json!({ "event": secret("event") });
    body["$lib"] = json!(secret("lib"));
    body["timezone"] = json!("Secret/Zone");
    body["evaluation_contexts"] = json!(["secret-context"]);
    body
}

const HEADERS: [&str; 9] = [
    "cookie: session=secret-cookie",
    "authorization: Bearer phx_secret_personal_key",
    "x-forwarded-for: 203.0.113.77",
    "x-posthog-project-api-key: phc_secret_header_token",
    "referer: https://shop.test/cart?email=secret-referer",
    "x-api-key: secret-other-header",
    "x-posthog-distinct-id: secret-person-header",
    "x-posthog-session-id: secret-session-header",
    "user-agent: posthog-python/6.0.0 phc_secret_agent",
];

/// What is searched for: nothing of it may be in the file as it was sent.
const ALWAYS: [&str; 11] = [
    "secret-cookie",
    "phx_secret_personal_key",
    "secret_personal_key",
    "203.0.113.77",
    "phc_secret_header_token",
    "secret-referer",
    "secret-other-header",
    "secret-person-header",
    "secret-session-header",
    "phc_secret_agent",
    "phc_secret_query",
];

fn target(number: usize) -> String {
    let target = TARGETS[number % TARGETS.len()];
    let separator = if target.contains('?') { '&' } else { '?' };
    format!("{target}{separator}api_key=phc_secret_query&email=secret-query")
}

/// Records such requests; their answers, and the entries.
fn record(redaction: &str, count: usize) -> (Vec<Value>, String, Vec<Entry>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let variables = [("RECORDER_REDACTION", redaction), ("RECORDER_HASH_KEY", KEY)];
    let mut server = Server::recording(&file, &variables);
    let mut client = server.client();
    let answers = (0..count)
        .map(|number| {
            let encoding = ENCODINGS[number / TARGETS.len() % ENCODINGS.len()];
            let answer = send(
                &mut client,
                &target(number),
                encoding,
                &secretive(number),
                &HEADERS,
            );
            assert_eq!(answer.status, 200, "{}", answer.text());
            steady(&answer.body)
        })
        .collect();
    // What cannot be decoded cannot be redacted.
    client.request(
        "POST /flags",
        &["content-type: application/json"],
        b"{secret-garbage",
    );
    server.finish();
    let log = vec![server.logged("recorder: ended")];
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, entries, end) = read(&file);
    assert_eq!(end.as_ref().unwrap().undecodable, 1);
    assert_eq!(entries.len(), count);
    (answers, text, entries, log)
}

/// An answer without what differs by nature.
fn steady(bytes: &[u8]) -> Value {
    let mut answer: Value = serde_json::from_slice(bytes).unwrap();
    for name in ["requestId", "evaluatedAt"] {
        answer.as_object_mut().unwrap().remove(name);
    }
    answer
}

fn tokens() -> Tokens {
    let mut tokens = Tokens::default();
    tokens.add(TOKEN).unwrap();
    tokens
}

fn ask(client: &mut Client, entry: Entry) -> Value {
    let request = Request::of_entry(entry).unwrap().ready(&tokens()).unwrap();
    let headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let answer = client.request(
        &format!("{} {}", request.method, request.target),
        &headers,
        &request.body,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    steady(&answer.body)
}

/// All secrets of a request that are not needed for its answer.
fn unneeded(number: usize) -> Vec<String> {
    let mut texts: Vec<String> = [
        "name",
        "key",
        "list",
        "deep",
        "item",
        "device-property",
        "unused-group",
        "group-value",
        "motto",
        "anon",
        "device",
        "extra",
        "ip",
        "event",
        "lib",
    ]
    .iter()
    .map(|name| format!("secret-{name}-{number}"))
    .collect();
    texts.push((77_123_456 + number).to_string());
    texts.push((88_123_456 + number).to_string());
    texts.push(format!("{}", 1_234_567.25 + number as f64));
    texts.push(format!("unasked-{number}"));
    texts
}

#[test]
fn what_no_flag_looks_at_is_hidden_and_answers_stay_as_they_were() {
    let count = 4 * TARGETS.len() * 3;
    let (answers, text, entries, log) = record("unused", count);
    for secret in ALWAYS
        .iter()
        .map(|text| (*text).to_owned())
        .chain((0..count).flat_map(unneeded))
    {
        assert!(!text.contains(&secret), "{secret} is in the recording");
    }
    for secret in [
        TOKEN,
        "phc_another_project",
        "secret-query",
        "secret-garbage",
        KEY,
    ] {
        assert!(!text.contains(secret), "{secret} is in the recording");
    }
    let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let end = &end["end"];
    for kept in ["age", "app_version", "email", "plan", "tier"] {
        assert!(
            end["kept_properties"].as_array().unwrap().contains(&json!(kept)),
            "{end}"
        );
        assert!(log[0].contains(kept), "{log:?}");
    }
    assert_eq!(end["kept_ids"], json!(["distinct_id", "group company"]));
    assert_eq!(
        (&end["changed_ids"], &end["changed_properties"]),
        (&json!([]), &json!([]))
    );
    assert!(
        text.lines()
            .next()
            .unwrap()
            .contains("recorded as they were sent")
    );
    // The same answers, in the encodings in which they came.
    let server = Server::plain();
    let mut client = server.client();
    let wrappings: std::collections::HashSet<String> = entries
        .iter()
        .map(|entry| format!("{:?}", entry.wrapping.unwrap()))
        .collect();
    assert_eq!(wrappings.len(), ENCODINGS.len());
    for (entry, answer) in entries.into_iter().zip(&answers) {
        let target = format!("{}?{:?}", entry.path, entry.query);
        assert_eq!(ask(&mut client, entry), *answer, "{target}");
    }
}

#[test]
fn everything_is_hidden_where_that_is_asked_for() {
    let count = 2 * TARGETS.len();
    let (_, text, entries, _) = record("all", count);
    let hidden = (0..count).flat_map(|number| {
        let mut texts = unneeded(number);
        texts.push(format!("person-{number}"));
        texts.push(format!("someone{number}@"));
        texts
    });
    for secret in ALWAYS.iter().map(|text| (*text).to_owned()).chain(hidden) {
        assert!(!text.contains(&secret), "{secret} is in the recording");
    }
    for secret in [
        TOKEN,
        "enterprise",
        "example.com",
        "company-0",
        "silver",
        "Secret/Zone",
        "secret-context",
    ] {
        assert!(!text.contains(secret), "{secret} is in the recording");
    }
    let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(end["end"]["kept_properties"], json!([]));
    assert!(
        end["end"]["changed_properties"]
            .as_array()
            .unwrap()
            .contains(&json!("plan")),
        "{end}"
    );
    assert_eq!(end["end"]["changed_ids"], json!(["distinct_id", "group company"]));
    assert!(
        text.lines()
            .next()
            .unwrap()
            .contains("answers differ from those that were given")
    );
    // Types stay, and equal values stay equal.
    let bodies: Vec<Value> = entries
        .iter()
        .map(|entry| serde_json::from_str(entry.body.as_deref().unwrap()).unwrap())
        .collect();
    let plan = |number: usize| &bodies[number]["person_properties"]["plan"];
    assert_eq!(plan(0), plan(3));
    assert_ne!(plan(0), plan(1));
    assert!(bodies[0]["person_properties"]["age"].is_u64());
}

#[test]
fn tokens_alone_can_be_hidden() {
    let (answers, text, entries, _) = record("tokens", TARGETS.len());
    for secret in ALWAYS.iter().chain(&[TOKEN]) {
        assert!(!text.contains(secret), "{secret} is in the recording");
    }
    assert!(text.contains("secret-name-0") && text.contains("person-3"));
    assert!(text.contains("Secret/Zone") && text.contains("secret-context"));
    let server = Server::plain();
    let mut client = server.client();
    for (entry, answer) in entries.into_iter().zip(&answers) {
        assert_eq!(ask(&mut client, entry), *answer);
    }
}

#[test]
fn credentials_are_never_recorded_in_the_clear() {
    let (_, entries) = recorded_with(
        &[("RECORDER_REDACTION", "none")],
        &[
            "cookie: session=secret-cookie",
            "authorization: Bearer phc_secret_project",
        ],
    );
    let text = serde_json::to_string(&entries[0]).unwrap();
    assert!(text.contains("person-1") && text.contains(TOKEN));
    assert!(
        !text.contains("secret-cookie") && !text.contains("phc_secret_project"),
        "{text}"
    );
    assert!(entries[0].headers["authorization"].starts_with("Bearer token_"));
    assert_eq!(entries[0].client, None);
}

#[test]
fn addresses_of_clients_are_recorded_where_that_is_asked_for() {
    let (text, entries) = recorded_with(
        &[("RECORDER_CLIENT_ADDRESS", "true")],
        &["x-forwarded-for: 203.0.113.77"],
    );
    assert_eq!(entries[0].client, Some("203.0.113.77".parse().unwrap()));
    assert!(text.contains("addresses of clients are recorded"));
    let sent = Request::of_entry(entries[0].clone()).unwrap();
    assert!(
        sent.headers
            .contains(&("x-forwarded-for".into(), "203.0.113.77".into()))
    );
}

fn recorded_with(variables: &[(&str, &str)], headers: &[&str]) -> (String, Vec<Entry>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let mut server = Server::recording(&file, variables);
    send(&mut server.client(), "/flags?v=2", "plain", &body(1), headers);
    server.finish();
    (std::fs::read_to_string(&file).unwrap(), read(&file).1)
}

#[test]
fn tokens_are_found_again_by_hash_by_key_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let mut recorded = Server::recording(&file, &[("RECORDER_HASH_KEY", KEY)]);
    for number in 0..5 {
        send(&mut recorded.client(), "/flags?v=2", "plain", &body(number), &[]);
    }
    recorded.finish();
    let server = Server::plain();
    let url = server.url();
    let without = replay(&file, &url, &url, &["--rate", "max"]);
    assert_eq!(
        (without.code, &without.report["skipped"]["unnamed_tokens"]),
        (Some(2), &json!(5))
    );
    let (_, entries, _) = read(&file);
    let first: Value = serde_json::from_str(entries[0].body.as_deref().unwrap()).unwrap();
    let named = format!("{}={TOKEN}", first["token"].as_str().unwrap());
    let by_hash = replay(&file, &url, &url, &["--rate", "max", "--token", &named]);
    assert_eq!(
        (by_hash.code, &by_hash.report["compared"]),
        (Some(0), &json!(5)),
        "{}",
        by_hash.stderr
    );
    assert!(!by_hash.stdout.contains(TOKEN));
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, format!("phc_other\n{TOKEN}\n\n")).unwrap();
    let run = |key: Option<&str>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_feature-flags"));
        command
            .arg("replay")
            .arg(&file)
            .args(["--a", &url, "--b", &url, "--rate", "max", "--token-file"])
            .arg(&tokens);
        command.env_clear();
        if let Some(key) = key {
            command.env("RECORDER_HASH_KEY", key);
        }
        command.output().unwrap().status.code()
    };
    assert_eq!(run(Some(KEY)), Some(0));
    // Two bare tokens mean nothing without the key, and another key knows none of these hashes.
    assert_eq!(run(None), Some(2));
    assert_eq!(run(Some("another-key-of-16-bytes")), Some(2));
}
