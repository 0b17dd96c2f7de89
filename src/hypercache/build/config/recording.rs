//! `sessionRecording` (`http.md` 11.6, `storage.md` 10).

use std::borrow::Cow;

use super::settings::TeamSettings;
use crate::hypercache::json::{Json, object};

/// Frames a second of a recorded canvas.
const CANVAS_FPS: i64 = 3;
/// Quality of its images.
const CANVAS_QUALITY: &str = "0.4";

/// `false` unless the team records sessions.
pub(super) fn session_recording<'t>(team: &TeamSettings<'t>) -> Json<'t> {
    if !team.is_on("session_recording_opt_in") {
        return false.into();
    }
    let canvas = team.is_on_in("session_replay_config", "record_canvas");
    let when_canvas = |value| if canvas { value } else { Json::Null };
    let domains = match team.value("recording_domains") {
        domains @ Json::Array(_) => domains,
        _ => Json::Array(Vec::new()),
    };
    let script = team.text_in("extra_settings", "recorder_script");
    let groups = trigger_groups(team.value("session_recording_trigger_groups"));
    let object_or_null = |column| team.object(column).unwrap_or(Json::Null);
    let mut recording = object([
        ("endpoint", Json::from("/s/")),
        (
            "consoleLogRecordingEnabled",
            team.is_on("capture_console_log_opt_in").into(),
        ),
        ("recorderVersion", Json::from("v2")),
        (
            "sampleRate",
            sample_rate(&team.value("session_recording_sample_rate")),
        ),
        (
            "minimumDurationMilliseconds",
            match team
                .value("session_recording_minimum_duration_milliseconds")
                .as_id()
            {
                Some(duration) if duration != 0 => Json::integer(duration),
                _ => Json::Null,
            },
        ),
        (
            "linkedFlag",
            linked_flag(&team.value("session_recording_linked_flag")),
        ),
        (
            "networkPayloadCapture",
            object_or_null("session_recording_network_payload_capture_config"),
        ),
        ("masking", object_or_null("session_recording_masking_config")),
        ("urlTriggers", team.value("session_recording_url_trigger_config")),
        (
            "urlBlocklist",
            team.value("session_recording_url_blocklist_config"),
        ),
        (
            "eventTriggers",
            team.value("session_recording_event_trigger_config"),
        ),
        (
            "triggerMatchType",
            team.value("session_recording_trigger_match_type_config"),
        ),
        (
            "scriptConfig",
            script.map_or(Json::Null, |script| object([("script", script)])),
        ),
        ("domains", domains),
        ("recordCanvas", canvas.into()),
        ("canvasFps", when_canvas(Json::integer(CANVAS_FPS))),
        ("canvasQuality", when_canvas(Json::from(CANVAS_QUALITY))),
        ("version", Json::integer(if groups.is_some() { 2 } else { 1 })),
    ]);
    if let (Json::Object(members), Some(groups)) = (&mut recording, groups) {
        members.insert(Cow::Borrowed("triggerGroups"), groups);
    }
    recording
}

/// The shortest text of the share; all of it is null.
fn sample_rate(stored: &Json<'_>) -> Json<'static> {
    let (Json::Number(text) | Json::String(text)) = stored else {
        return Json::Null;
    };
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate != 1.0 => Json::String(Cow::Owned(rate.to_string())),
        _ => Json::Null,
    }
}

/// The key, or key and variant; the id is not for clients.
fn linked_flag<'t>(stored: &Json<'t>) -> Json<'t> {
    let Some(key @ Json::String(_)) = stored.get("key") else {
        return Json::Null;
    };
    match stored.get("variant") {
        None | Some(Json::Null) => key.clone(),
        Some(variant) => object([("flag", key.clone()), ("variant", variant.clone())]),
    }
}

/// The groups of a stored `{"groups": [...]}`, whose events SDKs take as objects. `None`: the first version is in use.
fn trigger_groups(mut stored: Json<'_>) -> Option<Json<'_>> {
    let Json::Object(members) = &mut stored else {
        return None;
    };
    if members.is_empty() {
        return None;
    }
    let mut groups = match members.remove("groups") {
        Some(groups @ Json::Array(_)) => groups,
        _ => Json::Array(Vec::new()),
    };
    for group in groups.elements_mut() {
        let events = group
            .get_mut("conditions")
            .and_then(|conditions| conditions.get_mut("events"));
        for event in events.map(Json::elements_mut).unwrap_or_default() {
            if matches!(event, Json::String(_)) {
                *event = object([("name", std::mem::replace(event, Json::Null))]);
            }
        }
    }
    Some(groups)
}
