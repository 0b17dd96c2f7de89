//! `/flags/definitions` as SDKs see it (`http.md` 3.3, 12.4, 13, 22.4): each row of D1 to D13, on the embedded store.

use std::sync::Arc;

use feature_flags::http::Clock;
use feature_flags::hypercache::etag;
use feature_flags::store::embedded::EmbeddedStore;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::counters::Counters;
use crate::harness::Harness;

const TOKEN: &str = "phc_definitions";
const OTHER_TOKEN: &str = "phc_other";
const SECRET: &str = "phs_definitions";
const ORGANIZATION: &str = "0191aaaa-0000-7000-8000-000000000001";
const OTHER_ORGANIZATION: &str = "0191bbbb-0000-7000-8000-000000000002";

/// Bodies of `http.md` 12.4, 12.2.
const NO_CREDENTIAL: &str = r#"{"type":"authentication_error","code":"not_authenticated","detail":"Authentication credentials were not provided.","attr":null}"#;
const SECRET_INVALID: &str = r#"{"type":"authentication_error","code":"authentication_failed","detail":"Secret API token is invalid.","attr":null}"#;
const KEY_INVALID: &str = r#"{"type":"authentication_error","code":"authentication_failed","detail":"Personal API key is invalid.","attr":null}"#;
const NO_SCOPE: &str = r#"{"type":"authentication_error","code":"permission_denied","detail":"Personal API key lacks required scopes (feature_flag:read or feature_flag:write).","attr":null}"#;
const UNKNOWN_TOKEN: &str = r#"{"type":"authentication_error","code":"authentication_failed","detail":"The provided API key is invalid or has expired. Please check your API key and try again.","attr":null}"#;
const NO_TOKEN: &str = "Failed to deserialize query string: missing field `token`";

fn documents() -> Value {
    let key = |value: &str, user: i32, more: Value| {
        let mut key = json!({ "value": value, "user_id": user });
        key.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        key
    };
    let read = json!(["feature_flag:read"]);
    json!({ "projects": [
        {
            "team": { "id": 7, "api_token": TOKEN, "organization_id": ORGANIZATION,
                "secret_api_token": SECRET, "secret_api_token_backup": "phs_definitions_before" },
            "group_type_mapping": { "0": "organization" },
            "personal_api_keys": [
                key("phx_reads", 1, json!({ "scopes": read })),
                key("phx_writes", 1, json!({ "scopes": ["person:read", "feature_flag:write"] })),
                key("phx_all", 1, json!({ "scopes": ["*"] })),
                key("phx_unrestricted", 1, json!({})),
                key("phx_persons", 1, json!({ "scopes": ["person:read"] })),
                key("phx_nothing", 1, json!({ "scopes": [] })),
                key("phx_inactive", 2, json!({ "scopes": read })),
                key("phx_team", 1, json!({ "scopes": read, "scoped_teams": [7, 9] })),
                key("phx_other_team", 1, json!({ "scopes": read, "scoped_teams": [8] })),
                key("phx_organization", 1, json!({ "scopes": read, "scoped_organizations": [ORGANIZATION] })),
                key("phx_other_organization", 1,
                    json!({ "scopes": read, "scoped_organizations": [OTHER_ORGANIZATION] })),
            ],
            "cohorts": [{ "id": 5, "name": "pro", "filters": { "properties": { "type": "OR", "values": [
                { "type": "AND", "values": [{ "key": "plan", "type": "person", "value": ["pro"], "operator": "exact" }] }
            ] } } }],
            "flags": [{ "id": 101, "key": "new-checkout", "name": "New checkout \u{e9}", "active": true, "version": 7,
                "filters": { "groups": [{ "properties": [{ "key": "id", "type": "cohort", "value": 5 }],
                    "rollout_percentage": 50 }] } }]
        },
        {
            "team": { "id": 8, "api_token": OTHER_TOKEN, "organization_id": OTHER_ORGANIZATION,
                "secret_api_token": "phs_other", "secret_api_token_backup": "unusual-secret" },
            "personal_api_keys": [key("phx_stranger", 3, json!({ "scopes": read }))],
            "flags": [{ "id": 201, "key": "survey-targeting-a", "active": true, "filters": { "groups": [] } }]
        }
    ] })
}

fn store() -> Arc<EmbeddedStore> {
    let store = Arc::new(EmbeddedStore::temporary().unwrap());
    for document in documents()["projects"].as_array().unwrap() {
        store.import(document.to_string().as_bytes()).unwrap();
    }
    file(&store)
        .execute("UPDATE posthog_user SET is_active = 0 WHERE id = 2", [])
        .unwrap();
    store
}

/// Another connection to the store's file.
fn file(store: &EmbeddedStore) -> Connection {
    Connection::open(store.path()).unwrap()
}

fn start(variables: &[(&str, &str)]) -> Harness {
    Harness::serving(variables, store(), Clock::System)
}

fn get(client: &mut Client, token: &str, credential: &str, headers: &[&str]) -> Answer {
    let authorization = format!("authorization: Bearer {credential}");
    let mut all = vec![authorization.as_str()];
    all.extend(headers);
    client.request(&format!("GET /flags/definitions?token={token}"), &all, b"")
}

#[track_caller]
fn is(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.text()), (status, body));
    if body.starts_with('{') {
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(
        (answer.header("etag"), answer.header("cache-control")),
        (None, None)
    );
}

#[test]
fn d1_a_personal_key_names_no_team() {
    let server = start(&[]);
    let mut client = server.client();
    for authorization in [
        "Bearer phx_reads",
        "Token phs_definitions",
        "Bearer ",
        "phs_definitions",
    ] {
        let header = format!("authorization: {authorization}");
        let answer = client.request("GET /flags/definitions?send_cohorts", &[&header], b"");
        is(&answer, 400, NO_TOKEN);
    }
    is(&client.request("GET /flags/definitions", &[], b""), 400, NO_TOKEN);
    let empty_key = ["authorization: Bearer phx_reads", "x-posthog-project-api-key: "];
    is(
        &client.request("GET /flags/definitions", &empty_key, b""),
        400,
        NO_TOKEN,
    );
    is(
        &client.request("GET /flags/definitions?token=a&to%6ben=b", &[], b""),
        400,
        "Failed to deserialize query string: duplicate field `token`",
    );
}

#[test]
fn d2_an_unknown_token_is_refused_before_the_credential_is_looked_at() {
    let server = start(&[]);
    let mut client = server.client();
    let long = "x".repeat(201);
    for token in ["phc_nobody", "", "phc%0Aa", &long] {
        is(&get(&mut client, token, SECRET, &[]), 401, UNKNOWN_TOKEN);
        let answer = client.request(&format!("GET /flags/definitions?token={token}"), &[], b"");
        is(&answer, 401, UNKNOWN_TOKEN);
    }
}

#[test]
fn d3_without_a_bearer_credential_none_is_provided() {
    let server = start(&[]);
    let mut client = server.client();
    let line = format!("GET /flags/definitions?token={TOKEN}");
    is(&client.request(&line, &[], b""), 401, NO_CREDENTIAL);
    for header in [
        "Token phs_definitions",
        "Basic cGhzOg==",
        "Bearer",
        "Bearer  ",
        "phs_definitions",
    ] {
        let answer = client.request(&line, &[&format!("authorization: {header}")], b"");
        is(&answer, 401, NO_CREDENTIAL);
    }
    // No other place carries one.
    let answer = client.request(&format!("{line}&secret_api_key=phs_definitions"), &[], b"");
    is(&answer, 401, NO_CREDENTIAL);
}

#[test]
fn d4_d5_a_team_is_opened_by_its_own_secrets_alone() {
    let server = start(&[]);
    let mut client = server.client();
    for secret in [SECRET, "phs_definitions_before"] {
        assert_eq!(get(&mut client, TOKEN, secret, &[]).status, 200, "{secret}");
    }
    let line = format!("GET /flags/definitions?token={TOKEN}");
    for header in ["bearer phs_definitions", "BEARER  phs_definitions "] {
        let answer = client.request(&line, &[&format!("authorization: {header}")], b"");
        assert_eq!(answer.status, 200, "{header}");
    }
    let long = format!("phs_{}", "x".repeat(2000));
    for secret in [
        "phs_other",
        "phs_nobody",
        "phs_",
        "phs_definition",
        "phs_definitionsx",
        &long,
    ] {
        is(&get(&mut client, TOKEN, secret, &[]), 401, SECRET_INVALID);
    }
    // Twice: what is remembered is whose it is, not that it opened or did not open something.
    for _ in 0..2 {
        assert_eq!(get(&mut client, OTHER_TOKEN, "phs_other", &[]).status, 200);
        is(&get(&mut client, TOKEN, "phs_other", &[]), 401, SECRET_INVALID);
        is(&get(&mut client, OTHER_TOKEN, SECRET, &[]), 401, SECRET_INVALID);
    }
}

#[test]
fn h14_a_secret_without_the_prefix_is_tried_after_personal_keys() {
    let server = start(&[]);
    let mut client = server.client();
    assert_eq!(get(&mut client, OTHER_TOKEN, "unusual-secret", &[]).status, 200);
    is(
        &get(&mut client, TOKEN, "unusual-secret", &[]),
        401,
        SECRET_INVALID,
    );
    is(&get(&mut client, TOKEN, "unusual-secre", &[]), 401, KEY_INVALID);
}

#[test]
fn d6_h12_h13_personal_keys_are_judged_by_scope_owner_and_restrictions() {
    let server = start(&[]);
    let mut client = server.client();
    for (key, status, body) in [
        ("phx_reads", 200, ""),
        ("phx_writes", 200, ""),
        ("phx_all", 200, ""),
        ("phx_unrestricted", 200, ""),
        ("phx_team", 200, ""),
        ("phx_organization", 200, ""),
        ("phx_persons", 403, NO_SCOPE),
        ("phx_nothing", 403, NO_SCOPE),
        ("phx_inactive", 401, KEY_INVALID),
        ("phx_other_team", 401, KEY_INVALID),
        ("phx_other_organization", 401, KEY_INVALID),
        ("phx_stranger", 401, KEY_INVALID),
        ("phx_nobody", 401, KEY_INVALID),
        (TOKEN, 401, KEY_INVALID),
    ] {
        // The second answer is from memory.
        for _ in 0..2 {
            let answer = get(&mut client, TOKEN, key, &[]);
            assert_eq!(answer.status, status, "{key}: {}", answer.text());
            if status != 200 {
                is(&answer, status, body);
            }
        }
    }
    assert_eq!(get(&mut client, OTHER_TOKEN, "phx_stranger", &[]).status, 200);
    is(&get(&mut client, OTHER_TOKEN, "phx_reads", &[]), 401, KEY_INVALID);
}

#[test]
fn pbkdf2_hashes_are_accepted_only_when_told_so() {
    // hashlib.pbkdf2_hmac('sha256', b'phx_legacy_<n>', b'posthog_personal_api_key', n)
    let stored = [
        (260_000, "KH25TSWcFzNJCRkZZ4eaiMxIaSEg8oBM2BMnV0SPZl4="),
        (390_000, "5i3N8fsUYqVxp+L0ATGCOAEEEIDCuZjLKEwmPNqxmfc="),
    ];
    for (setting, status) in [("false", 401), ("true", 200)] {
        let store = store();
        for (iterations, hash) in stored {
            let sql = "INSERT INTO posthog_personalapikey (id, user_id, label, secure_value, scopes)
                VALUES (?1, 1, 'old', ?2, '[\"feature_flag:read\"]')";
            let value = format!("pbkdf2_sha256${iterations}$posthog_personal_api_key${hash}");
            file(&store)
                .execute(sql, [format!("old-{iterations}"), value])
                .unwrap();
        }
        let variables = [("PERSONAL_API_KEY_LEGACY_HASHES", setting)];
        let server = Harness::serving(&variables, store, Clock::System);
        let mut client = server.client();
        for (iterations, _) in stored {
            let key = format!("phx_legacy_{iterations}");
            assert_eq!(
                get(&mut client, TOKEN, &key, &[]).status,
                status,
                "{key} {setting}"
            );
        }
        is(&get(&mut client, TOKEN, "phx_legacy_1", &[]), 401, KEY_INVALID);
        assert_eq!(get(&mut client, TOKEN, "phx_reads", &[]).status, 200);
    }
}

#[test]
fn h10_a_token_comes_from_query_header_or_secret_in_this_order() {
    let server = start(&[]);
    let mut client = server.client();
    let secret = "authorization: Bearer phs_definitions";
    let project_key = |token: &str| format!("x-posthog-project-api-key: {token}");
    // As posthog-rs asks.
    let headers = ["authorization: Bearer phx_reads", &project_key(TOKEN)];
    let answer = client.request("GET /flags/definitions/?send_cohorts", &headers, b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        client.request("GET /flags/definitions", &[secret], b"").status,
        200
    );
    let lower = "authorization: bearer phs_definitions";
    assert_eq!(
        client.request("GET /flags/definitions", &[lower], b"").status,
        200
    );
    // The query wins over the header, and the header over the secret.
    let line = format!("GET /flags/definitions?token={TOKEN}");
    assert_eq!(
        client
            .request(&line, &[secret, &project_key(OTHER_TOKEN)], b"")
            .status,
        200
    );
    let answer = client.request(
        "GET /flags/definitions",
        &[secret, &project_key(OTHER_TOKEN)],
        b"",
    );
    is(&answer, 401, SECRET_INVALID);
    let answer = client.request(
        "GET /flags/definitions?token=",
        &[secret, &project_key(TOKEN)],
        b"",
    );
    is(&answer, 401, UNKNOWN_TOKEN);
    let unknown = "authorization: Bearer phs_nobody";
    is(
        &client.request("GET /flags/definitions", &[unknown], b""),
        401,
        SECRET_INVALID,
    );
}

#[test]
fn d7_three_forms_of_the_etag_are_not_modified() {
    let server = start(&[]);
    let mut client = server.client();
    let full = get(&mut client, TOKEN, SECRET, &["origin: https://a.test"]);
    assert_eq!(full.status, 200);
    assert_eq!(full.header("content-type"), Some("application/json"));
    assert_eq!(full.header("cache-control"), Some("private, must-revalidate"));
    assert_eq!(full.header("access-control-allow-origin"), Some("https://a.test"));
    assert_eq!(
        full.header("access-control-expose-headers"),
        Some("x-posthog-rate-limit-warning")
    );
    // That of the text that is stored, which is passed on byte for byte.
    let value = etag(full.text());
    let weak = format!("W/\"{value}\"");
    assert_eq!(full.header("etag"), Some(weak.as_str()));
    let json = full.json();
    assert_eq!(json["flags"][0]["key"], "new-checkout");
    assert_eq!(json["group_type_mapping"], json!({ "0": "organization" }));
    assert_eq!(json["cohorts"]["5"]["type"], "OR");
    assert_eq!(json["minimal_flag_called_events"], false);
    for given in [weak.clone(), format!("\"{value}\""), value.clone()] {
        let answer = get(&mut client, TOKEN, SECRET, &[&format!("if-none-match: {given}")]);
        assert_eq!((answer.status, answer.text()), (304, ""), "{given}");
        assert_eq!(answer.header("etag"), Some(weak.as_str()));
        assert_eq!(answer.header("cache-control"), Some("private, must-revalidate"));
        assert_eq!(answer.header("content-type"), None);
    }
    let twice = [
        format!("if-none-match: {weak}"),
        "if-none-match: \"b\"".to_owned(),
    ];
    for given in [
        vec![format!("if-none-match: {weak}, \"b\"")],
        vec!["if-none-match: *".to_owned()],
        vec!["if-none-match: \"other\"".to_owned()],
        vec!["if-none-match: ".to_owned()],
        twice.to_vec(),
    ] {
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        let answer = get(&mut client, TOKEN, SECRET, &given);
        assert_eq!((answer.status, &answer.body), (200, &full.body), "{given:?}");
    }
    // Never to somebody who may not have it.
    let known = format!("if-none-match: {weak}");
    is(
        &get(&mut client, TOKEN, "phs_other", &[&known]),
        401,
        SECRET_INVALID,
    );
    is(&get(&mut client, TOKEN, "phx_persons", &[&known]), 403, NO_SCOPE);
}

#[test]
fn d9_over_the_limit_of_the_team() {
    let server = start(&[
        ("FLAG_DEFINITIONS_DEFAULT_RATE_PER_MINUTE", "1"),
        ("FLAG_DEFINITIONS_RATE_LIMITS", r#"{"8": "2/day"}"#),
    ]);
    let mut client = server.client();
    let limited = r#"{"type":"validation_error","code":"rate_limit_exceeded","detail":"Rate limit exceeded","attr":null}"#;
    // A failed attempt is not charged to the team.
    is(&get(&mut client, TOKEN, "phs_nobody", &[]), 401, SECRET_INVALID);
    let first = get(&mut client, TOKEN, SECRET, &[]);
    assert_eq!(first.status, 200);
    is(&get(&mut client, TOKEN, "phx_reads", &[]), 429, limited);
    is(&get(&mut client, TOKEN, "phs_nobody", &[]), 401, SECRET_INVALID);
    // Conditional requests have a bucket of their own.
    let known = format!("if-none-match: {}", first.header("etag").unwrap());
    assert_eq!(get(&mut client, TOKEN, SECRET, &[&known]).status, 304);
    for status in [200, 200, 429] {
        assert_eq!(get(&mut client, OTHER_TOKEN, "phs_other", &[]).status, status);
    }
}

#[test]
fn d10_over_quota_is_402_before_the_etag_is_compared() {
    let store = store();
    let mut document = documents()["projects"][0].clone();
    let unlimited = document.clone();
    document["quota_limited"] = json!(["feature_flags"]);
    store.import(document.to_string().as_bytes()).unwrap();
    let variables = [
        ("BILLING_LIMITER_CACHE_TTL_SECS", "1"),
        ("FLAG_DEFINITIONS_DEFAULT_RATE_PER_MINUTE", "100000000"),
        ("FLAG_DEFINITIONS_CONDITIONAL_RATE_PER_MINUTE", "100000000"),
    ];
    let server = Harness::serving(&variables, Arc::clone(&store), Clock::System);
    let mut client = server.client();
    let known = {
        let other = start(&[]);
        let answer = get(&mut other.client(), TOKEN, SECRET, &[]);
        format!("if-none-match: {}", answer.header("etag").unwrap())
    };
    // Nobody is limited before the limits have been read.
    while get(&mut client, TOKEN, SECRET, &[]).status == 200 {
        std::thread::yield_now();
    }
    for headers in [&[][..], &[known.as_str()]] {
        is(
            &get(&mut client, TOKEN, SECRET, headers),
            402,
            r#"{"type":"quota_limited","code":"payment_required","detail":"You have exceeded your feature flag request quota","attr":null}"#,
        );
    }
    is(&get(&mut client, TOKEN, "phs_nobody", &[]), 401, SECRET_INVALID);
    assert_eq!(get(&mut client, OTHER_TOKEN, "phs_other", &[]).status, 200);
    store.import(unlimited.to_string().as_bytes()).unwrap();
    let mut status = 402;
    while status == 402 {
        status = get(&mut client, TOKEN, SECRET, &[&known]).status;
        std::thread::yield_now();
    }
    assert_eq!(status, 304);
}

#[test]
fn d11_d12_methods() {
    let server = start(&[]);
    let mut client = server.client();
    let answer = client.request("HEAD /flags/definitions?token=phc_nobody", &[], b"");
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.text()),
        (200, Some("application/json"), "")
    );
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = client.request(&format!("{method} /flags/definitions?token={TOKEN}"), &[], b"");
        assert_eq!(
            (answer.status, answer.header("allow"), answer.text()),
            (405, Some("GET, OPTIONS, HEAD"), "")
        );
    }
}

#[test]
fn d13_the_alias_and_both_forms_of_the_path_are_the_same() {
    let server = start(&[]);
    let mut client = server.client();
    let expected = get(&mut client, TOKEN, SECRET, &[]);
    for path in [
        "/flags/definitions/",
        "/api/feature_flag/local_evaluation",
        "/api/feature_flag/local_evaluation/",
    ] {
        let line = format!("GET {path}?token={TOKEN}&send_cohorts");
        let answer = client.request(&line, &["authorization: Bearer phs_definitions"], b"");
        assert_eq!((answer.status, &answer.body), (200, &expected.body), "{path}");
        assert_eq!(answer.headers, expected.headers);
        is(&client.request(&line, &[], b""), 401, NO_CREDENTIAL);
    }
}

#[test]
fn h11_only_full_answers_with_a_flag_that_is_billed_count() {
    let mut server = start(&[]);
    let mut client = server.client();
    let agent = "user-agent: posthog-python/7.91.1";
    // Its one flag is a survey's.
    assert_eq!(get(&mut client, OTHER_TOKEN, "phs_other", &[agent]).status, 200);
    is(
        &get(&mut client, TOKEN, "phs_nobody", &[agent]),
        401,
        SECRET_INVALID,
    );
    let full = get(&mut client, TOKEN, SECRET, &[agent]);
    assert_eq!(full.status, 200);
    assert_eq!(
        get(&mut client, TOKEN, "phx_reads", &[agent, "if-none-match: *"]).status,
        200
    );
    let known = format!("if-none-match: {}", full.header("etag").unwrap());
    for _ in 0..3 {
        assert_eq!(get(&mut client, TOKEN, SECRET, &[agent, &known]).status, 304);
    }
    server.write_usage();
    let mut counted = std::collections::BTreeMap::new();
    for stored in server.store.usage_counts().unwrap() {
        *counted.entry(stored.key).or_insert(0) += stored.count;
    }
    let expected = [
        ("posthog:local_evaluation_requests:7".to_owned(), 2),
        (
            "posthog:local_evaluation_requests:sdk:7:posthog-python".to_owned(),
            2,
        ),
    ];
    assert_eq!(counted, expected.into());
}

#[test]
fn the_use_of_a_personal_key_is_noted_once() {
    let store = store();
    let used = |value: &str| -> Vec<Option<String>> {
        let file = file(&store);
        let mut rows = file
            .prepare("SELECT last_used_at FROM posthog_personalapikey WHERE secure_value = ?1")
            .unwrap();
        let hash = <sha2::Sha256 as sha2::Digest>::digest(value)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        rows.query_map([format!("sha256${hash}")], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    let server = Harness::serving(&[], Arc::clone(&store), Clock::System);
    let mut client = server.client();
    assert_eq!(used("phx_reads"), [None]);
    assert_eq!(get(&mut client, TOKEN, "phx_reads", &[]).status, 200);
    is(&get(&mut client, TOKEN, "phx_persons", &[]), 403, NO_SCOPE);
    let first = loop {
        if let [Some(first)] = &used("phx_reads")[..] {
            break first.clone();
        }
        std::thread::yield_now();
    };
    assert_eq!(get(&mut client, TOKEN, "phx_reads", &[]).status, 200);
    assert_eq!(used("phx_reads"), [Some(first)]);
    assert_eq!(used("phx_persons"), [None], "it was of no use");
}

#[test]
fn an_import_changes_what_is_served_and_its_etag() {
    let store = store();
    // Asked as often as the test likes.
    let variables = [("FLAG_DEFINITIONS_CONDITIONAL_RATE_PER_MINUTE", "100000000")];
    let server = Harness::serving(&variables, Arc::clone(&store), Clock::System);
    let mut client = server.client();
    let before = get(&mut client, TOKEN, SECRET, &[]);
    let mut document = documents()["projects"][0].clone();
    document["flags"][0]["version"] = json!(8);
    store.import(document.to_string().as_bytes()).unwrap();
    let known = format!("if-none-match: {}", before.header("etag").unwrap());
    let after = loop {
        let answer = get(&mut client, TOKEN, SECRET, &[&known]);
        if answer.status == 200 {
            break answer;
        }
        assert_eq!(answer.status, 304);
        std::thread::yield_now();
    };
    assert_eq!(after.json()["flags"][0]["version"], 8);
    assert_eq!(
        after.header("etag").unwrap(),
        format!("W/\"{}\"", etag(after.text()))
    );
}

#[test]
fn requests_are_counted_by_what_became_of_them() {
    let counters = Counters::default();
    let variables = [("TEAM_IDS_TO_TRACK", "none")];
    let server = metrics::with_local_recorder(&counters, || start(&variables));
    let mut client = server.client();
    let full = get(&mut client, TOKEN, SECRET, &[]);
    let known = format!("if-none-match: {}", full.header("etag").unwrap());
    for (credential, headers, status) in [
        ("phx_reads", &[][..], 200),
        ("phx_reads", &[known.as_str()], 304),
        (SECRET, &["if-none-match: \"old\""], 200),
        ("phs_nobody", &[], 401),
        ("phx_persons", &[], 403),
    ] {
        assert_eq!(get(&mut client, TOKEN, credential, headers).status, status);
    }
    for (name, labels, count) in [
        ("auth_total", r#"method="secret_api_key""#, 2),
        ("auth_total", r#"method="personal_api_key""#, 2),
        ("requests_total", r#"key="unknown""#, 4),
        ("etag_total", r#"result="none""#, 2),
        ("etag_total", r#"result="hit""#, 1),
        ("etag_total", r#"result="miss""#, 1),
        ("etag_total", r#"result="redis_missing""#, 0),
        ("cache_hit_total", r#"source="Redis""#, 4),
        ("cache_hit_total", r#"source="S3""#, 0),
        ("cache_miss_total", r#"reason="cache_miss""#, 0),
    ] {
        let name = format!("flags_flag_definitions_{name}{{{labels}}}");
        assert_eq!(counters.count(&name), Some(count), "{name}");
    }
}
