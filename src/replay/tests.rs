//! Every shape of answer, every field that can differ.

use serde_json::json;

use super::{Answer, Bytes, Field, Latencies, Request, Shrinker, Subject, Tokens, compare};
use crate::recording::{Entry, Wrapping};

fn answer(body: &str) -> Answer {
    Answer {
        status: 200,
        content_type: "application/json".into(),
        body: body.as_bytes().to_vec(),
    }
}

fn found(a: &str, b: &str) -> Vec<(String, Field)> {
    compare(&answer(a), &answer(b), Bytes::Matter)
        .into_iter()
        .map(|difference| (difference.subject.to_string(), difference.field))
        .collect()
}

fn flag(change: &str, to: &str) -> String {
    let record = r#"{"key":"f","enabled":true,"variant":"blue","reason":{"code":"condition_match","condition_index":0,"description":"Matched condition set 1"},"metadata":{"id":1,"version":2,"description":null,"payload":"{}"}}"#;
    let text = record.replace(change, to);
    assert!(change == to || text != record, "{change}");
    format!(
        r#"{{"errorsWhileComputingFlags":false,"flags":{{"f":{text}}},"requestId":"0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b","evaluatedAt":1}}"#
    )
}

#[test]
fn what_differs_by_nature_does_not_count() {
    let a = flag("", "");
    let b = a
        .replace("0191f7a2", "ffffffff")
        .replace("\"evaluatedAt\":1", "\"evaluatedAt\": 1767225600123");
    assert_ne!(a, b);
    assert_eq!(found(&a, &b), []);
    // Inside a text it is no field.
    let quoted = |id: &str| format!(r#"{{"flags":{{}},"x":"\"requestId\":\"{id}\""}}"#);
    assert_eq!(
        found(&quoted("1"), &quoted("2")),
        [("(answer)".into(), Field::Other)]
    );
}

#[test]
fn every_field_of_a_record_is_named() {
    for (change, to, field) in [
        (r#""variant":"blue""#, r#""variant":"red""#, Field::Variant),
        ("condition_match", "out_of_rollout_bound", Field::Reason),
        (
            r#""condition_index":0"#,
            r#""condition_index":null"#,
            Field::ConditionIndex,
        ),
        (r#""payload":"{}""#, r#""payload":null"#, Field::Payload),
        (r#""version":2"#, r#""version":3"#, Field::Other),
        (r#""id":1,"version":2"#, r#""version":2,"id":1"#, Field::Bytes),
    ] {
        let differences = found(&flag("", ""), &flag(change, to));
        assert!(
            differences.contains(&("f".into(), field)),
            "{to}: {differences:?}"
        );
        let ignoring = compare(&answer(&flag("", "")), &answer(&flag(change, to)), Bytes::Ignored);
        assert_eq!(ignoring.is_empty(), field == Field::Bytes, "{to}");
    }
    let off = flag(
        r#""enabled":true,"variant":"blue""#,
        r#""enabled":false,"variant":null"#,
    );
    assert!(found(&flag("", ""), &off).contains(&("f".into(), Field::Value)));
    let none = r#"{"errorsWhileComputingFlags":false,"flags":{}}"#;
    assert_eq!(found(&flag("", ""), none), [("f".into(), Field::Presence)]);
    assert_eq!(found(none, &flag("", "")), [("f".into(), Field::Presence)]);
}

#[test]
fn older_shapes_are_read_too() {
    let legacy = r#"{"featureFlags":{"f":"blue","g":false},"featureFlagPayloads":{"f":"1"},"requestId":"x"}"#;
    assert_eq!(
        found(legacy, &legacy.replace(r#""f":"1""#, r#""f":"2""#)),
        [("f".into(), Field::Payload)]
    );
    let value = found(legacy, &legacy.replace(r#""g":false"#, r#""g":true"#));
    assert_eq!(value, [("g".into(), Field::Value)]);
    let decide_2 = r#"{"featureFlags":{"f":"blue"}}"#;
    assert_eq!(
        found(decide_2, r#"{"featureFlags":{}}"#),
        [("f".into(), Field::Presence)]
    );
    let decide_1 = r#"{"featureFlags":["f","g"],"requestId":"x"}"#;
    assert_eq!(
        found(decide_1, r#"{"featureFlags":["f"],"requestId":"y"}"#),
        [("g".into(), Field::Presence)]
    );
    // Their order has no meaning, but it is another text.
    assert_eq!(
        found(decide_1, r#"{"featureFlags":["g","f"],"requestId":"y"}"#),
        [("(answer)".into(), Field::Bytes)]
    );
    // One shape against another.
    assert!(!found(legacy, decide_1).is_empty());
}

#[test]
fn the_answer_as_a_whole_is_compared() {
    let a = flag("", "");
    let b = a.replace(
        "\"errorsWhileComputingFlags\":false",
        "\"errorsWhileComputingFlags\":true",
    );
    assert_eq!(found(&a, &b), [("(answer)".into(), Field::Other)]);
    assert_eq!(
        found("Invalid token", "invalid token"),
        [("(answer)".into(), Field::Other)]
    );
    assert_eq!(
        found(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#),
        [("(answer)".into(), Field::Bytes)]
    );
    let mut refused = answer("x");
    refused.status = 401;
    let differences = compare(&answer(&a), &refused, Bytes::Matter);
    assert_eq!(differences.len(), 1);
    assert_eq!(
        (differences[0].field, &*differences[0].a, &*differences[0].b),
        (Field::Status, "200", "401")
    );
    let mut text = answer(&a);
    text.content_type = "text/plain".into();
    assert_eq!(
        compare(&answer(&a), &text, Bytes::Matter)[0].field,
        Field::ContentType
    );
}

#[test]
fn hostile_answers_are_compared_without_a_panic() {
    let deep = "[".repeat(100_000);
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"",
        "{\"flags\":5}",
        "{\"flags\":{\"a\":1}}",
        "{\"featureFlags\":7}",
        &deep,
    ] {
        for other in ["", "{}", "{\"requestId\":", "{\"evaluatedAt\":\"", "\u{20ac}"] {
            let _ = found(body, other);
            let _ = found(other, body);
        }
    }
}

#[test]
fn tokens_take_the_place_of_their_hashes() {
    let (one, two) = (
        format!("token_{}", "1".repeat(32)),
        format!("token_{}", "2".repeat(32)),
    );
    let mut entry = Entry {
        method: "POST".into(),
        path: "/flags".into(),
        query: Some(format!("v=2&token={two}")),
        wrapping: Some(Wrapping::Base64),
        body: Some(format!("{{\"token\":\"{one}\"}}")),
        ..Entry::default()
    };
    entry
        .headers
        .insert("x-posthog-project-api-key".into(), two.clone());
    entry.headers.insert("host".into(), "elsewhere".into());
    let request = Request::of_entry(entry).unwrap();
    let mut tokens = Tokens::default();
    tokens.add(&format!("{one}=phc_\"a")).unwrap();
    assert!(request.ready(&tokens).is_err());
    tokens.add("phc_b+").unwrap();
    assert!(tokens.add("phc_c").is_err());
    assert!(tokens.add("=phc_c").is_err());
    let ready = request.ready(&tokens).unwrap();
    assert_eq!(ready.target, "/flags?v=2&token=phc_b%2B");
    assert_eq!(
        ready.headers,
        [("x-posthog-project-api-key".into(), "phc_b+".into())]
    );
    assert_eq!(
        ready.body,
        base64_simd::STANDARD
            .encode_to_string(r#"{"token":"phc_\"a"}"#)
            .into_bytes()
    );
}

#[test]
fn heads_that_cannot_be_sent_are_refused() {
    for target in [
        "",
        "flags",
        "http://elsewhere/",
        "/a b",
        "/a\r\nx: y",
        "/\u{20ac}",
    ] {
        assert!(Request::of_body(b"{}", target).is_err(), "{target:?}");
    }
    let entry = |method: &str| Entry {
        method: method.into(),
        path: "/flags".into(),
        headers: [
            ("x-a".into(), "a\r\nb: c".into()),
            ("x b".into(), "d".into()),
            ("x-c".into(), "d e".into()),
        ]
        .into(),
        ..Entry::default()
    };
    assert!(Request::of_entry(entry("")).is_err());
    assert!(Request::of_entry(entry("GET /x")).is_err());
    assert_eq!(
        Request::of_entry(entry("POST")).unwrap().headers,
        [("x-c".into(), "d e".into())]
    );
}

#[test]
fn a_request_shrinks_to_what_shows_the_difference() {
    let properties: serde_json::Map<_, _> = (0..20).map(|at| (format!("p{at}"), json!(at))).collect();
    let body = json!({
        "token": "t", "distinct_id": "d", "person_properties": properties, "groups": { "company": "c" }, "timezone": "UTC",
    });
    let mut shrinker = Shrinker::new(body.to_string().as_bytes(), &Subject::Flag("f".into())).unwrap();
    let mut attempts = 0;
    while let Some(candidate) = shrinker.next_candidate() {
        attempts += 1;
        let candidate: serde_json::Value = serde_json::from_slice(&candidate).unwrap();
        if candidate["person_properties"]["p7"] == 7 {
            shrinker.accept();
        }
    }
    let smallest: serde_json::Value = serde_json::from_slice(&shrinker.body()).unwrap();
    assert_eq!(
        smallest,
        json!({ "token": "t", "distinct_id": "d", "person_properties": { "p7": 7 }, "flag_keys": ["f"] })
    );
    assert!(attempts < 60, "{attempts}");
    assert!(Shrinker::new(b"\x1f\x8b", &Subject::Answer).is_none());
}

#[test]
fn latencies_are_written_as_a_log_that_the_library_reads() {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use std::time::{Duration, SystemTime};

    let mut latencies = Latencies::new();
    for ms in 1..=1000 {
        latencies.record(Duration::from_millis(ms));
    }
    latencies.record(Duration::from_secs(100_000));
    let near = |found: Duration, wanted: Duration| {
        assert!(
            (found.as_secs_f64() / wanted.as_secs_f64() - 1.0).abs() < 0.002,
            "{found:?} {wanted:?}"
        );
    };
    near(latencies.quantile(0.5), Duration::from_millis(501));
    near(latencies.max(), Duration::from_secs(600));
    let mut log = Vec::new();
    latencies
        .write_log(
            &Latencies::new(),
            &mut log,
            SystemTime::now(),
            Duration::from_secs(9),
        )
        .unwrap();
    let histogram = IntervalLogIterator::new(&log)
        .find_map(|entry| match entry {
            Ok(LogEntry::Interval(interval)) => Some(interval),
            _ => None,
        })
        .unwrap();
    assert_eq!(histogram.duration(), Duration::from_secs(9));
    let encoded = base64_simd::STANDARD
        .decode_to_vec(histogram.encoded_histogram())
        .unwrap();
    let read: hdrhistogram::Histogram<u64> = Deserializer::new().deserialize(&mut &encoded[..]).unwrap();
    assert_eq!(read.len(), 1001);
    near(
        Duration::from_nanos(read.value_at_quantile(0.5)),
        Duration::from_millis(501),
    );
}
