//! Stored objects to config fields, written by every shape.

use serde_json::{Map, Value, json};

use super::{CONFIG_BYTES_MAX, Caller, ConfigFragments, ConfigPart, Recording};
use crate::wire::response::{Envelope, Shape, encode};

const EXAMPLE: &str = include_str!("../../../../tests/hypercache/config.json");
const SHAPES: [Shape; 4] = [Shape::V2, Shape::Legacy, Shape::Decide2, Shape::Decide1];

/// An answer without flags, and without the members that every answer has. Fails when a member is there twice.
fn answer(shape: Shape, flags_limited: bool, config: ConfigPart<'_>) -> Map<String, Value> {
    let envelope = Envelope {
        request_id: "0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
        evaluated_at: 1_767_225_600_123,
        errors: false,
        quota_limited: flags_limited,
        minimal_flag_called_events: true,
        config,
    };
    let mut out = Vec::new();
    encode(shape, None, &envelope, &mut out);
    let text = String::from_utf8(out).unwrap();
    let mut members: Map<String, Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(names(&text), members.len(), "twice: {text}");
    for own in [
        "flags",
        "featureFlags",
        "featureFlagPayloads",
        "errorsWhileComputingFlags",
        "requestId",
        "evaluatedAt",
        "minimalFlagCalledEvents",
    ] {
        members.remove(own);
    }
    members
}

/// How many members the text's object has, those of equal name included.
fn names(text: &str) -> usize {
    struct Count;
    impl<'de> serde::de::Visitor<'de> for Count {
        type Value = usize;
        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while map.next_entry::<String, serde::de::IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
    }
    use serde::Deserializer;
    serde_json::Deserializer::from_str(text)
        .deserialize_map(Count)
        .unwrap()
}

fn of(stored: &Value, recording: Recording) -> Map<String, Value> {
    text_of(&stored.to_string(), recording)
}

fn text_of(stored: &str, recording: Recording) -> Map<String, Value> {
    let fragments = ConfigFragments::build(stored).unwrap();
    answer(
        Shape::V2,
        false,
        ConfigPart::Of {
            fragments: &fragments,
            recording,
        },
    )
}

#[test]
fn the_example_is_passed_through_but_for_what_is_internal() {
    let mut expected: Value = serde_json::from_str(EXAMPLE).unwrap();
    expected.as_object_mut().unwrap().remove("siteAppsJS").unwrap();
    let recording = expected["sessionRecording"].as_object_mut().unwrap();
    recording.remove("domains").unwrap();
    let fragments = ConfigFragments::build(EXAMPLE).unwrap();
    let part = ConfigPart::Of {
        fragments: &fragments,
        recording: Recording::AsStored,
    };
    for shape in SHAPES {
        assert_eq!(Value::Object(answer(shape, false, part)), expected, "{shape:?}");
    }
}

#[test]
fn without_config_there_is_none_of_it() {
    for shape in SHAPES {
        assert_eq!(answer(shape, false, ConfigPart::Off), Map::new(), "{shape:?}");
    }
}

#[test]
fn recording_is_off_for_other_pages_and_over_quota() {
    let stored = json!({ "sessionRecording": { "endpoint": "/s/", "domains": ["https://shop.example"] } });
    assert_eq!(
        of(&stored, Recording::AsStored),
        *json!({ "sessionRecording": { "endpoint": "/s/" } })
            .as_object()
            .unwrap()
    );
    assert_eq!(
        of(&stored, Recording::Refused),
        *json!({ "sessionRecording": false }).as_object().unwrap()
    );
    assert_eq!(
        of(&stored, Recording::OverQuota),
        *json!({ "sessionRecording": false, "quotaLimited": ["recordings"] })
            .as_object()
            .unwrap()
    );
    // Over quota is said also where there was nothing to switch off.
    assert_eq!(
        of(&json!({}), Recording::OverQuota),
        *json!({ "sessionRecording": false, "quotaLimited": ["recordings"] })
            .as_object()
            .unwrap()
    );
    assert_eq!(of(&json!({}), Recording::AsStored), Map::new());
}

#[test]
fn domains_are_asked_only_where_a_list_restricts() {
    let permits = |recording: Value, origin| {
        let stored = json!({ "sessionRecording": recording }).to_string();
        let caller = Caller {
            origin,
            ..Caller::default()
        };
        ConfigFragments::build(&stored)
            .unwrap()
            .permit_recording(|| caller)
    };
    for unrestricted in [
        json!({}),
        json!({ "domains": [] }),
        json!({ "domains": null }),
        json!({ "domains": "https://shop.example" }),
        json!(false),
        json!(null),
        json!(["domains"]),
    ] {
        assert!(permits(unrestricted.clone(), None), "{unrestricted}");
    }
    let listed = json!({ "domains": [7, "https://shop.example"] });
    assert!(permits(listed.clone(), Some("https://shop.example:8443")));
    assert!(!permits(listed.clone(), Some("https://other.example")));
    assert!(!permits(listed, None));
    assert!(!permits(
        json!({ "domains": [null] }),
        Some("https://shop.example")
    ));
}

#[test]
fn recording_that_is_no_object_is_passed_through() {
    for recording in [
        json!(false),
        json!(null),
        json!(true),
        json!([1]),
        json!("x"),
        json!({}),
    ] {
        let stored = json!({ "sessionRecording": recording });
        assert_eq!(Value::Object(of(&stored, Recording::AsStored)), stored);
    }
}

#[test]
fn limits_are_listed_once_flags_first() {
    use Recording::{AsStored, OverQuota};
    for (stored, flags_limited, recording, expected) in [
        (json!(null), false, AsStored, json!(null)),
        (json!([]), false, AsStored, json!(null)),
        (json!(["recordings"]), false, AsStored, json!(null)),
        (json!(["recordings"]), true, AsStored, json!(["feature_flags"])),
        (json!(["recordings"]), false, OverQuota, json!(["recordings"])),
        (
            json!(["recordings"]),
            true,
            OverQuota,
            json!(["feature_flags", "recordings"]),
        ),
        (
            json!(["surveys", "events", "surveys"]),
            false,
            AsStored,
            json!(["surveys", "events"]),
        ),
        (
            json!(["recordings", "surveys"]),
            true,
            OverQuota,
            json!(["feature_flags", "surveys", "recordings"]),
        ),
        (
            json!(["surveys", "feature_flags"]),
            false,
            AsStored,
            json!(["feature_flags", "surveys"]),
        ),
        (json!(["feature_flags"]), true, AsStored, json!(["feature_flags"])),
        (json!([1, null, "\"é\\"]), false, AsStored, json!(["\"é\\"])),
        (json!("recordings"), false, AsStored, json!(null)),
    ] {
        let text = json!({ "quotaLimited": stored }).to_string();
        let fragments = ConfigFragments::build(&text).unwrap();
        let part = ConfigPart::Of {
            fragments: &fragments,
            recording,
        };
        for shape in SHAPES {
            let found = answer(shape, flags_limited, part)
                .remove("quotaLimited")
                .unwrap_or_default();
            assert_eq!(found, expected, "{text} {flags_limited} {recording:?} {shape:?}");
        }
    }
    for shape in SHAPES {
        let found = answer(shape, true, ConfigPart::Fallback)["quotaLimited"].clone();
        assert_eq!(found, json!(["feature_flags"]));
        assert_eq!(
            answer(shape, true, ConfigPart::Off)["quotaLimited"],
            json!(["feature_flags"])
        );
    }
}

#[test]
fn members_of_the_answer_are_not_overwritten() {
    let stored = json!({
        "flags": 1, "featureFlags": 1, "featureFlagPayloads": 1, "errorsWhileComputingFlags": 1, "requestId": 1,
        "evaluatedAt": 1, "minimalFlagCalledEvents": false, "siteAppsJS": ["x"], "unknown": 1
    });
    let fragments = ConfigFragments::build(&stored.to_string()).unwrap();
    let part = ConfigPart::Of {
        fragments: &fragments,
        recording: Recording::AsStored,
    };
    for shape in SHAPES {
        // No name twice, says `answer`.
        assert_eq!(Value::Object(answer(shape, false, part)), json!({ "unknown": 1 }));
    }
}

#[test]
fn values_come_out_as_they_are_stored() {
    let stored = r#"{ "a\u00e9\"\n": 1.0, "n": 123456789012345678901234567890.50, "e": 1E-7, "s": "a \" , : b\u2028",
        "nested": { "a": [ 1 , { "b": null } ] }, "é": "ü", "": [], "sessionRecording": { "sampleRate" : "0.50" } }"#;
    let fragments = ConfigFragments::build(stored).unwrap();
    let mut out = Vec::new();
    ConfigPart::Of {
        fragments: &fragments,
        recording: Recording::AsStored,
    }
    .write(false, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#","":[],"aé\"\n":1.0,"e":1E-7,"n":123456789012345678901234567890.50,"nested":{"a":[1,{"b":null}]},"#
            .to_owned()
            + r#""s":"a \" , : b\u2028","é":"ü","sessionRecording":{"sampleRate":"0.50"}"#
    );
}

#[test]
fn of_equal_names_the_last_counts() {
    let stored = r#"{"a": 1, "sessionRecording": {"domains": ["https://x.test"], "b": 1, "b": 2}, "a": 2,
        "quotaLimited": ["events"], "quotaLimited": ["surveys"]}"#;
    assert_eq!(
        Value::Object(text_of(stored, Recording::AsStored)),
        json!({ "a": 2, "sessionRecording": { "b": 2 }, "quotaLimited": ["surveys"] })
    );
    let stored = r#"{"sessionRecording": {"domains": ["https://x.test"]}, "sessionRecording": {"b": 1}}"#;
    let fragments = ConfigFragments::build(stored).unwrap();
    assert!(
        fragments.permit_recording(Caller::default),
        "the first list is gone with its object"
    );
}

#[test]
fn deep_nesting_needs_no_stack() {
    let deep = |levels| {
        format!(
            "{{\"a\": {}{}, \"b\": 1}}",
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    let fragments = ConfigFragments::build(&deep(500_000)).unwrap();
    assert!(fragments.heap_bytes() > 1_000_000);
}

#[test]
fn what_is_no_object_or_too_large_is_not_used() {
    for stored in [
        "",
        "null",
        "[]",
        "1",
        "\"__missing__\"",
        "{",
        "{\"a\": }",
        "{\"a\": 1} x",
        "{\"\\ud800\": 1}",
    ] {
        assert!(ConfigFragments::build(stored).is_none(), "{stored}");
    }
    let sized = |bytes: usize| format!("{{\"a\": \"{}\"}}", "x".repeat(bytes - ",\"a\":\"\"".len()));
    assert!(ConfigFragments::build(&sized(CONFIG_BYTES_MAX)).is_some());
    assert!(ConfigFragments::build(&sized(CONFIG_BYTES_MAX + 1)).is_none());
    // Only what is sent counts.
    let sources = json!({ "siteAppsJS": "x".repeat(CONFIG_BYTES_MAX), "a": 1 });
    assert_eq!(
        Value::Object(of(&sources, Recording::AsStored)),
        json!({ "a": 1 })
    );
}

#[test]
fn the_fallback_follows_the_answer() {
    for shape in SHAPES {
        assert_eq!(
            Value::Object(answer(shape, false, ConfigPart::Fallback)),
            json!({
                "hasFeatureFlags": false, "supportedCompression": ["gzip", "gzip-js"], "sessionRecording": false,
                "surveys": false, "heatmaps": false, "capturePerformance": false, "autocaptureExceptions": false,
                "isAuthenticated": false, "toolbarParams": {}, "config": { "enable_collect_everything": true }
            })
        );
    }
    let mut out = Vec::new();
    ConfigPart::Fallback.write(true, &mut out);
    assert!(out.starts_with(b",\"hasFeatureFlags\":true,"));
}
