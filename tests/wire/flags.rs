//! `POST` on a flag route as a whole: shapes, refusals, request ids (`http.md` 9, 12, 22). What flags
//! evaluate to is for the golden cases.

use crate::client::{Answer, Client};
use crate::harness::Harness;

const BODY: &[u8] = br#"{"token": "phc_sdk_fixture_4242", "distinct_id": "user-1"}"#;
const JSON: &str = "content-type: application/json";

fn post(client: &mut Client, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    client.request(&format!("POST {path}"), &[&[JSON], headers].concat(), body)
}

/// The shape of an answer, by what tells it from the others.
fn shape(answer: &Answer) -> &'static str {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    if json["flags"].is_object() {
        "v2"
    } else if json["featureFlags"].is_array() {
        "decide-1"
    } else if json.get("featureFlagPayloads").is_some() {
        "legacy"
    } else {
        assert!(json["featureFlags"].is_object());
        "decide-2"
    }
}

#[test]
fn version_and_path_choose_the_shape() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for (path, expected) in [
        ("/flags", "legacy"),
        ("/flags/?v=1", "legacy"),
        ("/flags?v=banana", "legacy"),
        ("/flags?v=2", "v2"),
        ("/flags?v=3", "v2"),
        ("/decide", "decide-1"),
        ("/decide/?v=1", "decide-1"),
        ("/decide?v=2", "decide-2"),
        ("/decide?v=3", "legacy"),
        ("/decide?v=4", "v2"),
        ("/decide?v=99", "v2"),
    ] {
        assert_eq!(shape(&post(&mut client, path, &[], BODY)), expected, "{path}");
    }
}

#[test]
fn the_proxy_marks_decide_with_exactly_one_word() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for (value, expected) in [
        ("decide", "decide-1"),
        ("Decide", "legacy"),
        ("decide2", "legacy"),
        ("flags", "legacy"),
    ] {
        let header = format!("X-Original-Endpoint: {value}");
        let answer = post(&mut client, "/flags", &[&header], BODY);
        assert_eq!(shape(&answer), expected, "{value}");
    }
}

#[test]
fn answers_have_no_headers_but_the_common_ones() {
    let server = Harness::start(&[]);
    let answer = post(
        &mut server.client(),
        "/flags?v=2",
        &[
            "accept-encoding: gzip",
            "x-request-id: 0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
        ],
        BODY,
    );
    let mut names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "access-control-allow-credentials",
            "access-control-expose-headers",
            "content-length",
            "content-type",
            "vary"
        ]
    );
    assert_eq!(answer.json()["requestId"], "0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b");
}

#[test]
fn refusals_carry_their_sentence_and_the_origin() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for (body, status, sentence) in [
        (
            "{}",
            401,
            "No API token provided. Please include a valid API token in your request.",
        ),
        (r#"{"token": ""}"#, 401, "No API token provided."),
        (
            r#"{"token": "phc_unknown"}"#,
            401,
            "The provided API key is invalid or has expired.",
        ),
        (
            r#"{"token": "phx_personal", "distinct_id": "u"}"#,
            401,
            "The provided API key is invalid",
        ),
        (
            r#"{"token": "phc_sdk_fixture_4242"}"#,
            400,
            "The distinct_id field is missing from the request.",
        ),
        (
            r#"{"token": 5}"#,
            400,
            "Failed to decode request: invalid JSON. Please check your request format",
        ),
        ("", 400, "Failed to decode request: invalid JSON."),
    ] {
        let answer = post(
            &mut client,
            "/flags?v=2",
            &["origin: https://shop.example"],
            body.as_bytes(),
        );
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.text().contains(sentence), "{body}: {}", answer.text());
        let origin = answer.header("access-control-allow-origin");
        assert_eq!(origin, Some("https://shop.example"), "{body}");
        if status == 401 {
            assert_eq!(answer.json()["type"], "authentication_error");
        } else {
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        }
    }
}

#[test]
fn a_valid_body_at_the_limit_is_answered() {
    let server = Harness::start(&[]);
    let mut body = BODY.to_vec();
    body.resize(feature_flags::http::BODY_BYTES_MAX, b' ');
    assert_eq!(shape(&post(&mut server.client(), "/flags?v=2", &[], &body)), "v2");
}

#[test]
fn an_answer_is_the_same_however_the_body_travels() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    let whole = post(&mut client, "/flags?v=2", &[], BODY).json()["flags"].clone();
    assert!(whole.as_object().unwrap().len() > 3);
    let head = "POST /flags?v=2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(head);
    for byte in BODY {
        client.send([b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
    }
    let chunked = client.send("0\r\n\r\n").answer_to("POST").json();
    assert_eq!(chunked["flags"], whole);
    let without_type = client.request("POST /flags/?v=2", &[], BODY).json();
    assert_eq!(without_type["flags"], whole);
}
