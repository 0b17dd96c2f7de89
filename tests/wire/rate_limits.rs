//! The limiters of `POST /flags` as clients see them (`http.md` 8.1, 12.2, 15, 22.5). Buckets here regain one request
//! in a thousand seconds, so no test depends on its own speed.

use std::process::Command;

use libdeflater::{CompressionLvl, Compressor};

use crate::client::{Answer, Client};
use crate::counters::Counters;
use crate::harness::Harness;

const TOKEN: &str = "phc_sdk_fixture_4242";
const REFUSED: &str =
    r#"{"type":"validation_error","code":"rate_limit_exceeded","detail":"Rate limit exceeded","attr":null}"#;
const WARNING: &str = "x-posthog-rate-limit-warning";
const OVER_IP: &str = "flags_ip_rate_limit_exceeded_total";
const OVER_TOKEN: &str = "flags_rate_limit_exceeded_total";

/// The label that says whose limit it was, the same for all.
fn key_of(name: &str) -> &'static str {
    if name == OVER_IP {
        r#"ip="other""#
    } else {
        r#"token="other""#
    }
}

type Variables = Vec<(&'static str, &'static str)>;

/// Two requests a client address, enforced.
fn by_ip() -> Variables {
    vec![
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", "2"),
        ("FLAGS_IP_REPLENISH_RATE", "0.001"),
    ]
}

/// Two requests a project token, enforced.
fn by_token() -> Variables {
    vec![
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_BUCKET_CAPACITY", "2"),
        ("FLAGS_BUCKET_REPLENISH_RATE", "0.001"),
    ]
}

fn with(mut variables: Variables, more: &[(&'static str, &'static str)]) -> Variables {
    variables.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    variables.extend(more);
    variables
}

fn body(token: &str) -> Vec<u8> {
    format!(r#"{{"token": "{token}", "distinct_id": "user-1"}}"#).into_bytes()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(content.len())];
    let length = compressor.gzip_compress(content, &mut out).unwrap();
    out.truncate(length);
    out
}

fn post(client: &mut Client, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    client.request(&format!("POST {path}"), headers, body)
}

/// Statuses of so many equal requests.
fn statuses<const COUNT: usize>(
    client: &mut Client,
    path: &str,
    headers: &[&str],
    body: &[u8],
) -> [u16; COUNT] {
    std::array::from_fn(|_| post(client, path, headers, body).status)
}

fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (429, REFUSED));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
}

#[test]
fn l1_addresses_are_limited_and_only_where_they_post() {
    let server = Harness::start(&by_ip());
    let mut client = server.client();
    let first = ["x-forwarded-for: 203.0.113.9, 10.0.0.1"];
    assert_eq!(
        statuses(&mut client, "/flags", &first, &body(TOKEN)),
        [200, 200, 429]
    );
    // One limit for both routes and all their forms.
    assert_refused(&post(&mut client, "/decide/?v=4", &first, &body(TOKEN)));
    for line in ["GET /flags", "HEAD /flags", "OPTIONS /flags", "GET /_liveness"] {
        assert_eq!(client.request(line, &first, b"").status, 200, "{line}");
    }
    assert_eq!(client.request("PUT /flags", &first, b"{}").status, 405);
    let other = ["x-forwarded-for: 203.0.113.10, 10.0.0.1"];
    assert_eq!(post(&mut client, "/flags", &other, &body(TOKEN)).status, 200);
    // The peer is the address where no header names one.
    assert_eq!(
        statuses(&mut client, "/flags", &[], &body(TOKEN)),
        [200, 200, 429]
    );
}

#[test]
fn l2_tokens_are_limited() {
    let server = Harness::start(&by_token());
    let mut client = server.client();
    let from = |hop: u8| format!("x-forwarded-for: 203.0.113.{hop}");
    for (hop, expected) in [(1, 200), (2, 200), (3, 429)] {
        let answer = post(&mut client, "/flags?v=2", &[&from(hop)], &body(TOKEN));
        assert_eq!(answer.status, expected, "{hop}");
    }
    assert_refused(&post(&mut client, "/decide?v=3", &[], &body(TOKEN)));
    // Another token is let through to be unknown, and is limited in its turn.
    assert_eq!(
        statuses(&mut client, "/flags", &[], &body("phc_nobody")),
        [401, 401, 429]
    );
    assert_eq!(client.request("GET /flags", &[], b"").status, 200);
}

#[test]
fn l3_log_only_counts_and_lets_through() {
    let log_only = [
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "true"),
    ];
    let counters = Counters::default();
    let variables = with([by_ip(), by_token()].concat(), &log_only);
    let server = metrics::with_local_recorder(&counters, || Harness::start(&variables));
    let mut client = server.client();
    assert_eq!(
        statuses(&mut client, "/flags", &[], &body(TOKEN)),
        [200, 200, 200, 200, 200]
    );
    for name in [OVER_IP, OVER_TOKEN] {
        let counted = |action: &str| {
            counters.count(&format!(
                r#"{name}{{{},mode="log_only",action="{action}"}}"#,
                key_of(name)
            ))
        };
        assert_eq!(
            (counted("blocked"), counted("warned")),
            (Some(3), Some(0)),
            "{name}"
        );
    }
    // Neither tokens nor addresses become labels.
    let names = counters.names().join(" ");
    assert!(!names.contains("phc_") && !names.contains("127.0.0.1"), "{names}");
}

#[test]
fn l4_an_exhausted_address_is_429_whatever_it_sends() {
    let server = Harness::start(&by_ip());
    let mut client = server.client();
    assert_eq!(statuses(&mut client, "/flags", &[], b"garbage"), [400, 400, 429]);
    for (headers, body) in [
        (&["content-type: image/png"][..], &b"garbage"[..]),
        (&["content-encoding: gzip"], b"{}"),
        (&[], b"{}"),
        (&[], b""),
    ] {
        assert_refused(&post(&mut client, "/flags", headers, body));
    }
    // The query is read before anything else (`http.md` 2.2).
    assert_eq!(post(&mut client, "/flags?sent_at=soon", &[], b"{}").status, 400);
}

#[test]
fn l6_limits_that_never_let_anything_through_stop_the_start() {
    for (name, value) in [
        ("FLAGS_IP_BURST_SIZE", "0"),
        ("FLAGS_BUCKET_CAPACITY", "0"),
        ("FLAGS_IP_REPLENISH_RATE", "0"),
        ("FLAGS_BUCKET_REPLENISH_RATE", "-1"),
        ("FLAG_DEFINITIONS_DEFAULT_RATE_PER_MINUTE", "0"),
        ("FLAG_DEFINITIONS_RATE_LIMITS", "[]"),
        ("LOCAL_EVAL_CONDITIONAL_RATE_LIMITS", "{"),
        ("FLAGS_TOKEN_RATE_LIMIT_OVERRIDES", "1200/minute"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_feature-flags"))
            .args(["dev", "--address", "127.0.0.1:0"])
            .env_clear()
            .env(name, value)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {text}");
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn disabled_limiters_neither_count_nor_refuse() {
    let counters = Counters::default();
    let disabled = [
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "false"),
        ("FLAGS_RATE_LIMIT_ENABLED", "false"),
    ];
    let variables = with([by_ip(), by_token()].concat(), &disabled);
    let server = metrics::with_local_recorder(&counters, || Harness::start(&variables));
    let mut client = server.client();
    assert_eq!(
        statuses(&mut client, "/flags", &[], &body(TOKEN)),
        [200, 200, 200, 200]
    );
    assert!(!counters.names().iter().any(|name| name.contains("exceeded")));
}

#[test]
fn enforced_refusals_are_counted_by_their_limiter() {
    let counters = Counters::default();
    let variables = with([by_ip(), by_token()].concat(), &[("FLAGS_IP_BURST_SIZE", "4")]);
    let server = metrics::with_local_recorder(&counters, || Harness::start(&variables));
    let mut client = server.client();
    // The address is charged first, and for requests that their token refuses too.
    assert_eq!(
        statuses(&mut client, "/flags", &[], &body(TOKEN)),
        [200, 200, 429, 429, 429]
    );
    let counted = |name: &str| {
        counters.count(&format!(
            r#"{name}{{{},mode="enforced",action="blocked"}}"#,
            key_of(name)
        ))
    };
    assert_eq!((counted(OVER_IP), counted(OVER_TOKEN)), (Some(1), Some(2)));
}

/// Every way to send the same request.
fn encodings(token: &str) -> Vec<(&'static str, Vec<&'static str>, Vec<u8>)> {
    let json = body(token);
    let base64 = base64_simd::STANDARD.encode_to_string(&json);
    let reordered =
        format!(r#"{{"distinct_id": "user-1", "person_properties": {{"a": "}}\""}}, "token": "{token}"}}"#);
    let escaped = format!(r#"{{"token": "\u0070{}", "distinct_id": "user-1"}}"#, &token[1..]);
    let far = format!(
        r#"{{"distinct_id": "user-1", "person_properties": {{"a": "{}"}}, "api_key": "{token}"}}"#,
        "x".repeat(5000)
    );
    let json5 = format!("{{token: '{token}', distinct_id: 'user-1'}}");
    vec![
        ("/flags", vec![], json.clone()),
        ("/flags", vec!["content-type: application/json"], reordered.into()),
        ("/flags", vec!["content-type: text/plain"], escaped.into()),
        ("/flags", vec![], far.into()),
        ("/flags", vec![], json5.into()),
        ("/flags", vec!["content-encoding: gzip"], gzip(&json)),
        (
            "/flags?compression=gzip-js",
            vec!["content-type: text/plain"],
            gzip(&json),
        ),
        ("/flags", vec!["content-type: text/plain"], gzip(&json)),
        ("/flags?compression=base64", vec![], base64.clone().into()),
        (
            "/flags",
            vec!["content-type: application/x-www-form-urlencoded"],
            format!("data={base64}").into(),
        ),
    ]
}

#[test]
fn the_token_is_found_in_every_encoding() {
    for (path, headers, body) in encodings(TOKEN) {
        let server = Harness::start(&by_token());
        let mut client = server.client();
        let name = format!("{path} {headers:?}");
        assert_eq!(
            statuses(&mut client, path, &headers, &body),
            [200, 200, 429],
            "{name}: charged once a request"
        );
        // It is one bucket, however it was named.
        for (path, headers, body) in encodings(TOKEN) {
            assert_refused(&post(&mut client, path, &headers, &body));
        }
        for (path, headers, body) in encodings("phc_nobody").into_iter().take(2) {
            assert_eq!(post(&mut client, path, &headers, &body).status, 401);
        }
        let (path, headers, body) = encodings("phc_nobody").swap_remove(5);
        assert_refused(&post(&mut client, path, &headers, &body));
    }
}

#[test]
fn tokens_of_query_and_headers_are_limited_too() {
    let server = Harness::start(&by_token());
    let mut client = server.client();
    let anonymous = br#"{"distinct_id": "user-1"}"#;
    let header = format!("x-posthog-project-api-key: {TOKEN}");
    let query = format!("/flags?token={TOKEN}");
    assert_eq!(post(&mut client, &query, &[], anonymous).status, 200);
    assert_eq!(post(&mut client, "/flags", &[&header], anonymous).status, 200);
    assert_refused(&post(&mut client, &query, &[], anonymous));
    assert_refused(&post(&mut client, "/flags", &[], &body(TOKEN)));
}

#[test]
fn without_a_token_the_address_is_the_key() {
    let server = Harness::start(&by_token());
    let mut client = server.client();
    // No token, and bodies in which none can be found, from one client.
    for (headers, body, expected) in [
        (&[][..], &b"{}"[..], 401),
        (&[], b"garbage", 400),
        (&[], b"garbage", 429),
        (&[], b"{}", 429),
        (&["content-encoding: gzip"], b"no gzip", 429),
        (&["content-type: image/png"], b"picture", 429),
    ] {
        assert_eq!(post(&mut client, "/flags", headers, body).status, expected);
    }
    let elsewhere = ["x-forwarded-for: 203.0.113.9"];
    assert_eq!(post(&mut client, "/flags", &elsewhere, b"garbage").status, 400);
    // Tokens of the same client have their own buckets.
    assert_eq!(post(&mut client, "/flags", &[], &body(TOKEN)).status, 200);
}

#[test]
fn a_token_that_differs_from_the_first_one_is_charged_as_well() {
    let server = Harness::start(&by_token());
    let mut client = server.client();
    // The last of two equal keys counts (`http.md` 5.4); a peek sees the first.
    let doubled = |decoy: u32| {
        format!(r#"{{"token": "phc_decoy_{decoy}", "distinct_id": "user-1", "token": "{TOKEN}"}}"#)
    };
    let answers: Vec<u16> = (0..3)
        .map(|decoy| post(&mut client, "/flags", &[], doubled(decoy).as_bytes()).status)
        .collect();
    assert_eq!(answers, [200, 200, 429]);
}

#[test]
fn a_refusal_comes_before_every_other_answer_about_the_token() {
    let server = Harness::start(&by_token());
    let mut client = server.client();
    let long = "phc_".to_owned() + &"x".repeat(300);
    for token in ["phs_sdk_fixture_4242", "phc_nobody", &long] {
        assert_eq!(
            statuses(&mut client, "/flags", &[], &body(token)),
            [401, 401, 429],
            "{token}"
        );
    }
    let no_id = format!(r#"{{"token": "{TOKEN}"}}"#);
    assert_eq!(
        statuses(&mut client, "/flags", &[], no_id.as_bytes()),
        [400, 400, 429]
    );
}

#[test]
fn a_refused_request_keeps_its_connection_and_a_large_one_does_not() {
    let server = Harness::start(&by_ip());
    let mut client = server.client();
    let _ = statuses::<2>(&mut client, "/flags", &[], b"{}");
    assert_refused(&post(&mut client, "/flags", &[], &vec![b' '; 40_000]));
    client.send("POST /flags HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_refused(&client.answer_to("POST /flags"));
    assert_eq!(client.request("GET /", &[], b"").text(), "feature flags");
    // Not asked for, not waited for.
    for headers in [
        "expect: 100-continue\r\ncontent-length: 2",
        "content-length: 2000000",
    ] {
        let mut client = server.client();
        client.send(format!("POST /flags HTTP/1.1\r\nhost: a\r\n{headers}\r\n\r\n"));
        assert_refused(&client.answer_to("POST /flags"));
        client.expect_close();
    }
    // A body that never comes is not waited for either.
    let mut slow = server.client();
    slow.send("POST /flags HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{");
    assert_refused(&slow.answer_to("POST /flags"));
}

#[test]
fn answers_above_the_threshold_carry_a_warning() {
    let variables = with(
        by_ip(),
        &[("FLAGS_IP_BURST_SIZE", "5"), ("FLAGS_WARN_CAPACITY_RATIO", "0.6")],
    );
    let counters = Counters::default();
    let server = metrics::with_local_recorder(&counters, || Harness::start(&variables));
    let mut client = server.client();
    let answers: Vec<Answer> = (0..6)
        .map(|number| {
            // Errors carry it as well.
            let body = if number == 4 {
                b"garbage".to_vec()
            } else {
                body(TOKEN)
            };
            post(&mut client, "/flags", &[], &body)
        })
        .collect();
    let seen: Vec<_> = answers
        .iter()
        .map(|answer| (answer.status, answer.header(WARNING)))
        .collect();
    let warned = Some("true");
    assert_eq!(
        seen,
        [
            (200, None),
            (200, None),
            (200, None),
            (200, warned),
            (400, warned),
            (429, None)
        ]
    );
    for answer in &answers {
        assert_eq!(answer.header("access-control-expose-headers"), Some(WARNING));
    }
    let counted = |action: &str| {
        counters.count(&format!(
            r#"{OVER_IP}{{ip="other",mode="enforced",action="{action}"}}"#
        ))
    };
    assert_eq!((counted("warned"), counted("blocked")), (Some(2), Some(1)));
}

#[test]
fn no_threshold_no_warning_and_log_only_warns_above_it() {
    let server = Harness::start(&by_token());
    let mut client = server.client();
    for _ in 0..2 {
        let answer = post(&mut client, "/flags", &[], &body(TOKEN));
        assert_eq!((answer.status, answer.header(WARNING)), (200, None));
    }
    let log_only = [
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "true"),
        ("FLAGS_WARN_CAPACITY_RATIO", "0.5"),
    ];
    let server = Harness::start(&with(by_token(), &log_only));
    let mut client = server.client();
    let warnings: Vec<bool> = (0..4)
        .map(|_| {
            let answer = post(&mut client, "/flags", &[], &body(TOKEN));
            assert_eq!(answer.status, 200);
            answer.header(WARNING).is_some()
        })
        .collect();
    assert_eq!(warnings, [false, true, true, true]);
}

#[test]
fn tokens_can_have_rates_of_their_own() {
    let own = [("FLAGS_TOKEN_RATE_LIMIT_OVERRIDES", r#"{"phc_nobody": "3/day"}"#)];
    let server = Harness::start(&with(by_token(), &own));
    let mut client = server.client();
    assert_eq!(
        statuses(&mut client, "/flags", &[], &body("phc_nobody")),
        [401, 401, 401, 429]
    );
    assert_eq!(
        statuses(&mut client, "/flags", &[], &body(TOKEN)),
        [200, 200, 429]
    );
}

#[test]
fn behind_known_proxies_a_client_cannot_name_its_address() {
    let server = Harness::start(&with(by_ip(), &[("TRUSTED_PROXY_HOPS", "2")]));
    let mut client = server.client();
    let mut from = |claimed: &str, written: &str| {
        let lines = [
            format!("x-forwarded-for: {claimed}, {written}"),
            "x-forwarded-for: 10.0.0.1".to_owned(),
        ];
        post(&mut client, "/flags", &[&lines[0], &lines[1]], &body(TOKEN)).status
    };
    let answers = [
        from("198.51.100.1", "203.0.113.9"),
        from("198.51.100.2", "203.0.113.9"),
        from("198.51.100.3", "203.0.113.9"),
        from("198.51.100.3", "203.0.113.10"),
    ];
    assert_eq!(answers, [200, 200, 429, 200]);
}
