//! Requests of every shape and encoding that SDKs send.

use feature_flags::recording::Wrapping;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::server::TOKEN;

/// Path with query, and whether the answer has details.
pub const TARGETS: [&str; 9] = [
    "/flags?v=2",
    "/flags/?v=2&config=true",
    "/flags",
    "/flags?v=1",
    "/decide?v=1",
    "/decide?v=2",
    "/decide/?v=3",
    "/decide?v=4",
    "/flags?v=2&only_evaluate_survey_feature_flags=true",
];

pub const ENCODINGS: [&str; 4] = ["plain", "gzip", "base64", "form"];

/// A person of many: some match each flag and some do not.
pub fn body(number: usize) -> Value {
    let mut body = json!({
        "token": TOKEN,
        "distinct_id": format!("person-{number}"),
        "person_properties": {
            "plan": (["pro", "free", "enterprise"][number % 3]),
            "email": format!("someone{number}@{}", ["example.com", "other.test"][number % 2]),
            "age": number % 40,
            "app_version": format!("{}.{}.0", number % 4, number % 3),
            "nobody_asks": format!("unasked-{number}"),
        },
    });
    if number.is_multiple_of(2) {
        body["groups"] = json!({ "company": format!("company-{}", number % 10) });
        body["group_properties"] = json!({ "company": { "tier": (["gold", "silver"][number % 4 / 2]) } });
    }
    if number.is_multiple_of(7) {
        body["flag_keys"] = json!(["pro-only", "needs-needs-pro"]);
    }
    if number.is_multiple_of(11) {
        body["$anon_distinct_id"] = json!(format!("anon-{number}"));
        body["$device_id"] = json!(format!("device-{number}"));
    }
    body
}

/// Sends a body in an encoding.
pub fn send(client: &mut Client, target: &str, encoding: &str, body: &Value, headers: &[&str]) -> Answer {
    let text = body.to_string();
    let (wrapping, extra, compression) = match encoding {
        "gzip" => (Wrapping::Gzip, "content-type: application/json", ""),
        "base64" => (Wrapping::Base64, "content-type: text/plain", "compression=base64"),
        "form" => (
            Wrapping::Form,
            "content-type: application/x-www-form-urlencoded",
            "compression=base64",
        ),
        _ => (Wrapping::Plain, "content-type: application/json", ""),
    };
    let mut all = vec![extra];
    if encoding == "gzip" {
        all.push("content-encoding: gzip");
    }
    all.extend_from_slice(headers);
    let separator = if compression.is_empty() {
        ""
    } else if target.contains('?') {
        "&"
    } else {
        "?"
    };
    client.request(
        &format!("POST {target}{separator}{compression}"),
        &all,
        &wrapping.wrap(text.as_bytes()),
    )
}

/// So many requests, all targets in all encodings among them.
pub fn mixed(client: &mut Client, count: usize) {
    for number in 0..count {
        let target = TARGETS[number % TARGETS.len()];
        let encoding = ENCODINGS[number / TARGETS.len() % ENCODINGS.len()];
        let answer = send(
            client,
            target,
            encoding,
            &body(number),
            &["user-agent: posthog-python/6.0.0"],
        );
        assert_eq!(answer.status, 200, "{target} {encoding}: {}", answer.text());
    }
}
