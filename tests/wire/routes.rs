//! Which path and method leads where (`http.md` 1, 2.2, 10.6, 14).

use crate::harness::Harness;

const TEXT: Option<&str> = Some("text/plain; charset=utf-8");

#[test]
fn get_on_a_flag_route_is_the_minimal_answer() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for path in [
        "/flags",
        "/flags/",
        "/decide",
        "/decide/",
        "/flags?v=1",
        "/flags?v=banana",
        "/decide?v=0",
    ] {
        let answer = client.request(&format!("GET {path}"), &[], b"");
        assert_eq!(answer.status, 200, "{path}");
        let mut json = answer.json();
        let object = json.as_object_mut().unwrap();
        let id = object.remove("requestId").unwrap();
        assert_eq!(
            uuid::Uuid::parse_str(id.as_str().unwrap())
                .unwrap()
                .get_version_num(),
            4
        );
        assert!(object.remove("evaluatedAt").unwrap().as_i64().unwrap() > 1_700_000_000_000);
        assert_eq!(
            json,
            serde_json::json!({
                "errorsWhileComputingFlags": false,
                "featureFlags": {},
                "featureFlagPayloads": {},
                "supportedCompression": ["gzip", "gzip-js"],
                "config": { "enable_collect_everything": true },
                "toolbarParams": {},
                "isAuthenticated": false,
                "sessionRecording": false
            }),
            "{path}"
        );
    }
}

#[test]
fn get_from_version_2_on_has_flags_also_for_decide() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for path in ["/flags?v=2", "/flags/?version=3", "/decide?v=2&config=true"] {
        let json = client
            .request(&format!("GET {path}"), &["x-original-endpoint: decide"], b"")
            .json();
        assert_eq!(json["flags"], serde_json::json!({}), "{path}");
        assert!(json.get("featureFlags").is_none(), "{path}");
    }
}

#[test]
fn a_request_id_that_is_a_uuid_comes_back_in_the_usual_form() {
    const ID: &str = "0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b";
    let server = Harness::start(&[]);
    let mut client = server.client();
    for given in [
        "0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
        "0191F7A23C4D7E5F8A6B7C8D9E0F1A2B",
        "{0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b}",
        "urn:uuid:0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
    ] {
        let answer = client.request("GET /flags", &[&format!("X-Request-Id: {given}")], b"");
        assert_eq!(answer.json()["requestId"], ID, "{given}");
        assert_eq!(answer.header("x-request-id"), None);
    }
    let mut ids = std::collections::HashSet::new();
    for _ in 0..3 {
        let answer = client.request("GET /flags", &["X-Request-Id: 42"], b"");
        ids.insert(answer.json()["requestId"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 3);
}

#[test]
fn head_answers_without_a_body() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for (path, content_type) in [
        ("/flags", "application/json"),
        ("/decide/", "application/json"),
        ("/flags/definitions?token=phc_x", "application/json"),
        ("/", "text/plain; charset=utf-8"),
        ("/_readiness", "text/plain; charset=utf-8"),
    ] {
        let answer = client.request(&format!("HEAD {path}"), &[], b"");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(content_type)),
            "{path}"
        );
    }
    // A body after a HEAD would be read as the start of this answer.
    assert_eq!(client.request("GET /", &[], b"").text(), "feature flags");
    assert_eq!(
        client.request("HEAD /", &[], b"").header("content-length"),
        Some("13")
    );
}

#[test]
fn other_methods_on_a_flag_route_are_405() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for path in ["/flags", "/flags/", "/decide", "/decide/?v=2"] {
        for method in ["PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
            let answer = client.request(&format!("{method} {path}"), &[], b"");
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, POST, OPTIONS, HEAD"));
            assert_eq!(answer.header("content-length"), Some("0"));
            assert_eq!(answer.header("content-type"), None);
        }
    }
}

#[test]
fn other_methods_on_definitions_are_405_once_a_token_is_there() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for path in [
        "/flags/definitions",
        "/flags/definitions/",
        "/api/feature_flag/local_evaluation",
    ] {
        for method in ["POST", "PUT", "DELETE"] {
            let answer = client.request(&format!("{method} {path}?token=phc_x"), &[], b"");
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("GET, OPTIONS, HEAD"))
            );
            assert!(answer.body.is_empty());
            let answer = client.request(&format!("{method} {path}"), &[], b"");
            assert_eq!(answer.status, 400);
            assert_eq!(
                answer.text(),
                "Failed to deserialize query string: missing field `token`"
            );
        }
    }
}

#[test]
fn other_methods_on_a_probe_are_405() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for path in ["/", "/_readiness", "/_liveness", "/_startup"] {
        for method in ["POST", "PUT", "DELETE"] {
            let answer = client.request(&format!("{method} {path}"), &[], b"");
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("GET,HEAD")),
                "{method} {path}"
            );
            assert!(answer.body.is_empty());
        }
    }
}

#[test]
fn everything_else_is_404_without_a_body() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for path in [
        "/nowhere",
        "/flags//",
        "/FLAGS",
        "/flags/x",
        "//flags",
        "/_readiness/",
        "/metrics",
        "/array/phc_x/config",
        "/batch/",
        "/%66lags",
    ] {
        for method in ["GET", "POST", "HEAD"] {
            let answer = client.request(&format!("{method} {path}"), &[], b"");
            assert_eq!(answer.status, 404, "{method} {path}");
            assert_eq!(answer.header("content-type"), None);
            assert!(answer.body.is_empty());
            if method != "HEAD" {
                assert_eq!(answer.header("content-length"), Some("0"));
            }
        }
    }
}

#[test]
fn a_mode_takes_the_other_routes_away() {
    let flags = Harness::start(&[("SERVICE_MODE", "flags")]);
    assert_eq!(flags.client().request("GET /flags", &[], b"").status, 200);
    assert_eq!(
        flags
            .client()
            .request("HEAD /flags/definitions?token=x", &[], b"")
            .status,
        404
    );
    let definitions = Harness::start(&[("SERVICE_MODE", "definitions")]);
    assert_eq!(definitions.client().request("GET /decide", &[], b"").status, 404);
    assert_eq!(
        definitions
            .client()
            .request("HEAD /flags/definitions?token=x", &[], b"")
            .status,
        200
    );
    assert_eq!(
        definitions.client().request("GET /_startup", &[], b"").status,
        200
    );
}

#[test]
fn probes_answer_in_plain_text() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for (path, body) in [
        ("/", "feature flags"),
        ("/_readiness", "ready"),
        ("/_startup", "started"),
    ] {
        let answer = client.request(&format!("GET {path}"), &[], b"");
        assert_eq!(
            (answer.status, answer.text(), answer.header("content-type")),
            (200, body, TEXT)
        );
    }
}

#[test]
fn liveness_is_the_heartbeat() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    // The first beat comes with the start of the server, on another thread.
    let answer = loop {
        let answer = client.request("GET /_liveness", &[], b"");
        match answer.status {
            200 => break answer,
            status => assert_eq!((status, answer.text().contains("healthy: false")), (500, true)),
        }
    };
    assert!(
        answer.text().starts_with("HealthStatus { healthy: true"),
        "{}",
        answer.text()
    );
}

#[test]
fn readiness_is_the_store_s_unless_settings_say_otherwise() {
    use feature_flags::snapshot::BoxFuture;
    let broken = || -> BoxFuture<'static, _> { Box::pin(async { Err("disk is gone".to_owned()) }) };
    let server = Harness::with_store(&[], broken);
    let mut client = server.client();
    let answer = client.request("GET /_readiness", &[], b"");
    assert_eq!((answer.status, answer.text()), (503, "store unavailable"));
    let verbose = client.request("GET /_readiness?verbose", &[], b"");
    assert_eq!(verbose.status, 503);
    let verbose = verbose.json();
    assert_eq!(verbose["status"], "unavailable");
    assert_eq!(verbose["checks"][0]["error"], "disk is gone");
    assert_eq!(verbose["checks"][0]["ok"], false);
    assert_eq!(verbose["snapshots"]["held"], 0);
    let unasked = Harness::with_store(&[("READINESS_CHECKS_DATABASE", "false")], broken);
    assert_eq!(unasked.client().request("GET /_readiness", &[], b"").status, 200);
    let verbose = unasked.client().request("GET /_readiness?verbose=true", &[], b"");
    assert_eq!(
        (verbose.status, &verbose.json()["checks"][0]["ok"]),
        (200, &serde_json::json!(false))
    );
}

#[test]
fn a_panic_is_a_500_and_the_connection_lives() {
    use feature_flags::snapshot::BoxFuture;
    let server = Harness::with_store(&[], || -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { panic!("the store check is broken") })
    });
    let mut client = server.client();
    let answer = client.request("GET /_readiness", &["origin: https://a.test"], b"");
    assert_eq!(answer.status, 500);
    assert_eq!(
        answer.text(),
        "An internal server error occurred. Please try again later or contact support if the problem persists."
    );
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://a.test")
    );
    assert_eq!(client.request("GET /", &[], b"").status, 200);
}
