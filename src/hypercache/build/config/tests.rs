//! Team settings to configuration, row by row of `http.md` 11.5 and 11.6.

use serde_json::{Value, json};

use super::{ConfigOptions, built_config, config_payload, is_replaceable};
use crate::config::TeamSet;
use crate::hypercache::{FlagRow, ProjectRows, TEAM_SETTING_COLUMNS, TeamRow};

const TEAM: &str = include_str!("../../../../tests/hypercache/full_metadata.json");
const CONFIG: &str = include_str!("../../../../tests/hypercache/config.json");

/// Rows of team 7 with these columns; the others are null.
fn rows(columns: &Value) -> ProjectRows {
    let settings = TEAM_SETTING_COLUMNS.iter().map(|name| columns[*name].to_string());
    ProjectRows {
        team: TeamRow {
            id: 7,
            api_token: "phc_exampleProjectToken0001".to_owned(),
            settings: settings.collect(),
            trigger_groups: columns
                .get("session_recording_trigger_groups")
                .filter(|groups| !groups.is_null())
                .map(Value::to_string),
            ..TeamRow::default()
        },
        ..ProjectRows::default()
    }
}

fn built_from(rows: &ProjectRows) -> Value {
    serde_json::from_str(&built_config(rows, &ConfigOptions::default())).unwrap()
}

fn built(columns: Value) -> Value {
    built_from(&rows(&columns))
}

fn recording(mut columns: Value) -> Value {
    columns["session_recording_opt_in"] = json!(true);
    built(columns)["sessionRecording"].clone()
}

#[test]
fn the_example_team_makes_the_example_but_for_what_django_assembles() {
    let mut rows = rows(&serde_json::from_str(TEAM).unwrap());
    rows.flags.push(FlagRow {
        active: true,
        ..FlagRow::default()
    });
    let mut expected: Value = serde_json::from_str(CONFIG).unwrap();
    expected.as_object_mut().unwrap().remove("siteAppsJS").unwrap();
    expected["siteApps"] = json!([]);
    expected["surveys"] = json!(true);
    // The legacy constants of the fallback.
    expected["isAuthenticated"] = json!(false);
    expected["toolbarParams"] = json!({});
    expected["config"] = json!({ "enable_collect_everything": true });
    assert_eq!(built_from(&rows), expected);
}

#[test]
fn a_team_that_has_set_nothing_has_everything_off() {
    assert_eq!(
        built(json!({})),
        json!({
            "token": "phc_exampleProjectToken0001",
            "supportedCompression": ["gzip", "gzip-js"],
            "hasFeatureFlags": false,
            "captureDeadClicks": false,
            "capturePerformance": false,
            "autocapture_opt_out": false,
            "autocaptureExceptions": false,
            "analytics": { "endpoint": "/i/v0/e/" },
            "elementsChainAsString": true,
            "errorTracking": { "autocaptureExceptions": false, "suppressionRules": [] },
            "logs": { "captureConsoleLogs": false },
            "sessionRecording": false,
            "heatmaps": false,
            "conversations": false,
            "surveys": false,
            "productTours": false,
            "defaultIdentifiedOnly": true,
            "siteApps": [],
            "isAuthenticated": false,
            "toolbarParams": {},
            "config": { "enable_collect_everything": true }
        })
    );
}

#[test]
fn columns_that_switch_one_member_on() {
    for (column, member) in [
        ("capture_dead_clicks", "captureDeadClicks"),
        ("autocapture_opt_out", "autocapture_opt_out"),
        ("autocapture_exceptions_opt_in", "autocaptureExceptions"),
        ("heatmaps_opt_in", "heatmaps"),
        ("surveys_opt_in", "surveys"),
        ("product_tours_opt_in", "productTours"),
    ] {
        for (stored, expected) in [
            (json!(true), true),
            (json!(false), false),
            (json!(null), false),
            (json!("x"), false),
        ] {
            assert_eq!(
                built(json!({ column: stored }))[member],
                json!(expected),
                "{column}: {stored}"
            );
        }
    }
}

#[test]
fn only_flags_that_can_be_on_count() {
    let mut rows = rows(&json!({}));
    let flag = |active, deleted| FlagRow {
        active,
        deleted,
        ..FlagRow::default()
    };
    rows.flags = vec![flag(false, false), flag(true, true)];
    assert_eq!(built_from(&rows)["hasFeatureFlags"], json!(false));
    rows.flags.push(flag(true, false));
    assert_eq!(built_from(&rows)["hasFeatureFlags"], json!(true));
}

#[test]
fn performance_is_an_object_when_either_part_is_on() {
    let performance = |network: bool, vitals: bool, metrics: Value| {
        built(json!({
            "capture_performance_opt_in": network,
            "autocapture_web_vitals_opt_in": vitals,
            "autocapture_web_vitals_allowed_metrics": metrics
        }))["capturePerformance"]
            .clone()
    };
    assert_eq!(performance(false, false, json!(["CLS"])), json!(false));
    assert_eq!(
        performance(true, false, json!(null)),
        json!({ "network_timing": true, "web_vitals": false, "web_vitals_allowed_metrics": null })
    );
    assert_eq!(
        performance(false, true, json!(["CLS", "LCP"])),
        json!({ "network_timing": false, "web_vitals": true, "web_vitals_allowed_metrics": ["CLS", "LCP"] })
    );
}

#[test]
fn an_installation_may_leave_members_out() {
    let options = |endpoint: &str, analytics, elements| ConfigOptions {
        analytics_endpoint: endpoint.to_owned(),
        analytics_excluded: analytics,
        elements_chain_excluded: elements,
    };
    let built = |options: ConfigOptions| -> Value {
        serde_json::from_str(&built_config(&rows(&json!({})), &options)).unwrap()
    };
    let seven = || TeamSet::parse("5:8").unwrap();
    let others = || TeamSet::parse("1,9").unwrap();
    let config = built(options("/e/", others(), others()));
    assert_eq!(
        (&config["analytics"], &config["elementsChainAsString"]),
        (&json!({ "endpoint": "/e/" }), &json!(true))
    );
    let config = built(options("/e/", seven(), others()));
    assert_eq!(
        (config.get("analytics"), &config["elementsChainAsString"]),
        (None, &json!(true))
    );
    let config = built(options("/e/", others(), seven()));
    assert!(config.get("elementsChainAsString").is_none() && config.get("analytics").is_some());
    let config = built(options("", TeamSet::None, TeamSet::All));
    assert!(config.get("elementsChainAsString").is_none() && config.get("analytics").is_none());
}

#[test]
fn error_tracking_has_the_rules_in_their_order() {
    let mut rows = rows(&json!({ "autocapture_exceptions_opt_in": true }));
    rows.suppression_rules = vec![r#"{"type": "AND", "values": [1.0]}"#.to_owned(), "{}".to_owned()];
    assert_eq!(
        built_from(&rows)["errorTracking"],
        json!({ "autocaptureExceptions": true, "suppressionRules": [{ "type": "AND", "values": [1.0] }, {}] })
    );
}

#[test]
fn logs_and_surveys_read_their_settings() {
    let logs = |stored: Value| built(json!({ "logs_settings": stored }))["logs"].clone();
    assert_eq!(
        logs(json!({ "capture_console_logs": true })),
        json!({ "captureConsoleLogs": true })
    );
    assert_eq!(
        logs(json!({ "capture_console_logs": "yes" })),
        json!({ "captureConsoleLogs": false })
    );
    assert_eq!(logs(json!([])), json!({ "captureConsoleLogs": false }));
    let survey_config = |opt_in: bool, stored: Value| {
        built(json!({ "surveys_opt_in": opt_in, "survey_config": stored }))
            .get("survey_config")
            .cloned()
    };
    let appearance = json!({ "appearance": { "color": "#fff" } });
    assert_eq!(survey_config(true, appearance.clone()), Some(appearance.clone()));
    assert_eq!(survey_config(false, appearance), None);
    assert_eq!(survey_config(true, json!({})), None);
    assert_eq!(survey_config(true, json!(null)), None);
}

#[test]
fn conversations_have_their_texts_or_the_usual_ones() {
    let conversations = |settings: Value| {
        built(json!({ "conversations_enabled": true, "conversations_settings": settings }))["conversations"]
            .clone()
    };
    let usual = json!({
        "enabled": true, "widgetEnabled": false, "greetingText": "Hey, how can I help you today?", "color": "#1d4aff",
        "token": null, "domains": [], "requireEmail": false, "collectName": false,
        "identificationFormTitle": "Before we start...",
        "identificationFormDescription": "Please provide your details so we can help you better.",
        "placeholderText": "Type your message...", "widgetPosition": "bottom_right"
    });
    for settings in [
        json!(null),
        json!({}),
        json!({ "widget_greeting_text": "", "widget_domains": null }),
        json!(3),
    ] {
        assert_eq!(conversations(settings.clone()), usual, "{settings}");
    }
    assert_eq!(
        conversations(json!({
            "widget_enabled": true, "widget_greeting_text": "Hi", "widget_color": "#000", "widget_public_token": "t",
            "widget_domains": ["https://shop.example"], "widget_require_email": true, "widget_collect_name": true,
            "widget_identification_form_title": "Who?", "widget_identification_form_description": "Tell us",
            "widget_placeholder_text": "Type", "widget_position": "top_left"
        })),
        json!({
            "enabled": true, "widgetEnabled": true, "greetingText": "Hi", "color": "#000", "token": "t",
            "domains": ["https://shop.example"], "requireEmail": true, "collectName": true,
            "identificationFormTitle": "Who?", "identificationFormDescription": "Tell us",
            "placeholderText": "Type", "widgetPosition": "top_left"
        })
    );
    let off = built(json!({ "conversations_settings": { "widget_enabled": true } }));
    assert_eq!(off["conversations"], json!(false));
}

#[test]
fn recording_without_settings() {
    assert_eq!(
        recording(json!({})),
        json!({
            "endpoint": "/s/", "consoleLogRecordingEnabled": false, "recorderVersion": "v2", "sampleRate": null,
            "minimumDurationMilliseconds": null, "linkedFlag": null, "networkPayloadCapture": null, "masking": null,
            "urlTriggers": null, "urlBlocklist": null, "eventTriggers": null, "triggerMatchType": null,
            "scriptConfig": null, "domains": [], "recordCanvas": false, "canvasFps": null, "canvasQuality": null,
            "version": 1
        })
    );
    for opt_in in [json!(false), json!(null)] {
        assert_eq!(
            built(json!({ "session_recording_opt_in": opt_in }))["sessionRecording"],
            json!(false)
        );
    }
}

#[test]
fn recording_members_follow_their_columns() {
    for (column, stored, member, expected) in [
        (
            "capture_console_log_opt_in",
            json!(true),
            "consoleLogRecordingEnabled",
            json!(true),
        ),
        (
            "session_recording_minimum_duration_milliseconds",
            json!(2000),
            "minimumDurationMilliseconds",
            json!(2000),
        ),
        (
            "session_recording_minimum_duration_milliseconds",
            json!(0),
            "minimumDurationMilliseconds",
            json!(null),
        ),
        (
            "session_recording_linked_flag",
            json!({ "id": 1, "key": "beta", "variant": null }),
            "linkedFlag",
            json!("beta"),
        ),
        (
            "session_recording_linked_flag",
            json!({ "id": 1, "key": "beta" }),
            "linkedFlag",
            json!("beta"),
        ),
        (
            "session_recording_linked_flag",
            json!({ "id": 1, "key": "beta", "variant": "a" }),
            "linkedFlag",
            json!({ "flag": "beta", "variant": "a" }),
        ),
        (
            "session_recording_linked_flag",
            json!({ "id": 1 }),
            "linkedFlag",
            json!(null),
        ),
        (
            "session_recording_network_payload_capture_config",
            json!({ "recordBody": true }),
            "networkPayloadCapture",
            json!({ "recordBody": true }),
        ),
        (
            "session_recording_network_payload_capture_config",
            json!({}),
            "networkPayloadCapture",
            json!(null),
        ),
        (
            "session_recording_masking_config",
            json!({ "maskAllInputs": true }),
            "masking",
            json!({ "maskAllInputs": true }),
        ),
        (
            "session_recording_url_trigger_config",
            json!([{ "url": "/pay", "matching": "regex" }]),
            "urlTriggers",
            json!([{ "url": "/pay", "matching": "regex" }]),
        ),
        (
            "session_recording_url_blocklist_config",
            json!([]),
            "urlBlocklist",
            json!([]),
        ),
        (
            "session_recording_event_trigger_config",
            json!([null, "buy"]),
            "eventTriggers",
            json!([null, "buy"]),
        ),
        (
            "session_recording_trigger_match_type_config",
            json!("all"),
            "triggerMatchType",
            json!("all"),
        ),
        (
            "extra_settings",
            json!({ "recorder_script": "posthog-recorder" }),
            "scriptConfig",
            json!({ "script": "posthog-recorder" }),
        ),
        (
            "extra_settings",
            json!({ "recorder_script": "" }),
            "scriptConfig",
            json!(null),
        ),
        (
            "extra_settings",
            json!({ "other": 1 }),
            "scriptConfig",
            json!(null),
        ),
        (
            "recording_domains",
            json!(["https://a.example"]),
            "domains",
            json!(["https://a.example"]),
        ),
        (
            "session_replay_config",
            json!({ "record_canvas": true }),
            "recordCanvas",
            json!(true),
        ),
        (
            "session_replay_config",
            json!({ "record_canvas": true }),
            "canvasFps",
            json!(3),
        ),
        (
            "session_replay_config",
            json!({ "record_canvas": true }),
            "canvasQuality",
            json!("0.4"),
        ),
        (
            "session_replay_config",
            json!({ "record_canvas": false }),
            "canvasFps",
            json!(null),
        ),
    ] {
        assert_eq!(
            recording(json!({ column: stored }))[member],
            expected,
            "{column}: {stored}"
        );
    }
}

#[test]
fn the_sample_rate_is_the_shortest_text() {
    for (stored, expected) in [
        ("0.50", json!("0.5")),
        ("\"0.50\"", json!("0.5")),
        ("0.05", json!("0.05")),
        ("0.00", json!("0")),
        ("0", json!("0")),
        ("1.00", json!(null)),
        ("\"1\"", json!(null)),
        ("null", json!(null)),
        ("\"x\"", json!(null)),
        ("\"NaN\"", json!(null)),
        ("true", json!(null)),
    ] {
        let mut rows = rows(&json!({ "session_recording_opt_in": true }));
        let place = TEAM_SETTING_COLUMNS
            .iter()
            .position(|name| *name == "session_recording_sample_rate");
        rows.team.settings[place.unwrap()] = stored.to_owned();
        assert_eq!(
            built_from(&rows)["sessionRecording"]["sampleRate"],
            expected,
            "{stored}"
        );
    }
}

#[test]
fn trigger_groups_make_the_second_version() {
    let stored = json!({ "version": 2, "groups": [
        { "id": "a", "sampleRate": 0.5, "conditions": { "matchType": "any", "events": ["buy", { "name": "pay" }, 7] } },
        { "id": "b", "conditions": { "urls": [] } },
        { "id": "c" },
        4
    ] });
    let with_groups = recording(json!({
        "session_recording_trigger_groups": stored,
        "session_recording_event_trigger_config": ["old"]
    }));
    assert_eq!(with_groups["version"], json!(2));
    assert_eq!(
        with_groups["triggerGroups"],
        json!([
            { "id": "a", "sampleRate": 0.5, "conditions": {
                "matchType": "any", "events": [{ "name": "buy" }, { "name": "pay" }, 7] } },
            { "id": "b", "conditions": { "urls": [] } },
            { "id": "c" },
            4
        ])
    );
    assert_eq!(
        with_groups["eventTriggers"],
        json!(["old"]),
        "for SDKs that know the first version only"
    );
    assert_eq!(
        recording(json!({ "session_recording_trigger_groups": { "groups": 1 } }))["triggerGroups"],
        json!([])
    );
    for none in [json!(null), json!({}), json!([]), json!("x")] {
        let without = recording(json!({ "session_recording_trigger_groups": none }));
        assert!(
            without["version"] == json!(1) && without.get("triggerGroups").is_none(),
            "{none}"
        );
    }
}

#[test]
fn a_stored_object_is_taken_as_it_is() {
    let stored = |text: Option<&str>| {
        config_payload(&ProjectRows {
            remote_config: text.map(str::to_owned),
            ..ProjectRows::default()
        })
    };
    assert_eq!(
        stored(Some(r#"{"b":1.0,"a":"é"}"#)).as_deref(),
        Some(r#"{"a": "\u00e9", "b": 1.0}"#)
    );
    for none in [None, Some("null"), Some("[]"), Some("x")] {
        assert_eq!(stored(none), None);
    }
}

#[test]
fn what_only_django_assembles_is_never_replaced() {
    assert!(is_replaceable(&built_config(
        &rows(&json!({})),
        &ConfigOptions::default()
    )));
    let all = json!({ "surveys_opt_in": true, "survey_config": { "a": 1 }, "session_recording_opt_in": true,
        "conversations_enabled": true, "capture_performance_opt_in": true });
    assert!(is_replaceable(&built_config(
        &rows(&all),
        &ConfigOptions::default()
    )));
    for replaceable in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"surveys": true, "siteApps": []}"#,
        r#"{"surveys": []}"#,
    ] {
        assert!(is_replaceable(replaceable), "{replaceable}");
    }
    for kept in [
        r#"{"surveys": [{"id": 1}]}"#,
        r#"{"siteApps": [{"id": 1}]}"#,
        r#"{"siteAppsJS": []}"#,
        r#"{"sdkVersion": {"requested": "1"}}"#,
        r#"{"quotaLimited": ["recordings"]}"#,
        CONFIG,
    ] {
        assert!(!is_replaceable(kept), "{kept}");
    }
}
