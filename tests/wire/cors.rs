//! Cross-origin headers on every answer (`http.md` 2.3).

use crate::client::Answer;
use crate::harness::Harness;

const VARY: &str = "origin, access-control-request-method, access-control-request-headers";

fn assert_common(answer: &Answer, origin: Option<&str>) {
    assert_eq!(answer.header("vary"), Some(VARY));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("access-control-allow-origin"), origin);
    assert_eq!(answer.header("access-control-max-age"), None);
    assert_eq!(answer.header("server"), None);
}

#[test]
fn every_answer_mirrors_the_origin() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for (line, status) in [
        ("GET /flags", 200),
        ("HEAD /flags", 200),
        ("GET /flags?_=abc", 400),
        ("GET /", 200),
        ("GET /nowhere", 404),
        ("PUT /flags", 405),
        ("POST /", 405),
        ("GET /flags/definitions", 400),
        ("GET /flags/definitions?token=phc_x", 401),
    ] {
        for origin in [Some("https://shop.example"), Some("null"), None] {
            let header = origin.map(|origin| format!("Origin: {origin}"));
            let answer = client.request(line, &header.iter().map(String::as_str).collect::<Vec<_>>(), b"");
            assert_eq!(answer.status, status, "{line}");
            assert_common(&answer, origin);
            let exposed = answer.header("access-control-expose-headers");
            assert_eq!(exposed, Some("x-posthog-rate-limit-warning"));
        }
    }
}

#[test]
fn options_is_answered_on_every_path() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for path in [
        "/flags",
        "/flags/",
        "/decide",
        "/flags?_=abc",
        "/flags/definitions",
        "/nowhere",
        "/_readiness",
        "*",
    ] {
        let answer = client.request(
            &format!("OPTIONS {path}"),
            &[
                "Origin: https://shop.example",
                "Access-Control-Request-Method: POST",
                "Access-Control-Request-Headers: content-type,x-custom",
            ],
            b"",
        );
        assert_eq!(
            (answer.status, answer.header("content-length")),
            (200, Some("0")),
            "{path}"
        );
        assert_common(&answer, Some("https://shop.example"));
        assert_eq!(
            answer.header("access-control-allow-methods"),
            Some("GET,POST,OPTIONS,HEAD")
        );
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("content-type,x-custom")
        );
        assert_eq!(answer.header("access-control-expose-headers"), None);
        assert_eq!(answer.header("content-type"), None);
        let allow = (path == "/_readiness").then_some("GET,HEAD");
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
}

#[test]
fn options_that_is_no_preflight_is_answered_alike() {
    let server = Harness::start(&[]);
    let answer = server.client().request("OPTIONS /flags", &[], b"");
    assert_eq!(answer.status, 200);
    assert_common(&answer, None);
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("GET,POST,OPTIONS,HEAD")
    );
    assert_eq!(answer.header("access-control-allow-headers"), None);
}
