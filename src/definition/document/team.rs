//! `team`: columns of `posthog_team` by name.

use serde_json::value::RawValue;

use super::notes::Notes;
use super::object::Object;
use super::path::Path;
use super::types::{DocumentTeam, Setting};

const TOKEN_CHARS_MAX: usize = 200;
const TIMEZONE_CHARS_MAX: usize = 240;

/// What a further team column holds.
#[derive(Clone, Copy)]
enum Column {
    Boolean,
    Integer,
    /// `numeric(3, 2)`: a number or its text, kept as text.
    Share,
    Text,
    Json,
}

/// Columns of `posthog_team` beyond those that have a field of their own, as `schema.sql` lists them.
const SETTINGS: [(&str, Column); 33] = [
    ("autocapture_opt_out", Column::Boolean),
    ("autocapture_exceptions_opt_in", Column::Boolean),
    ("autocapture_exceptions_errors_to_ignore", Column::Json),
    ("autocapture_web_vitals_opt_in", Column::Boolean),
    ("autocapture_web_vitals_allowed_metrics", Column::Json),
    ("capture_performance_opt_in", Column::Boolean),
    ("capture_console_log_opt_in", Column::Boolean),
    ("capture_dead_clicks", Column::Boolean),
    ("heatmaps_opt_in", Column::Boolean),
    ("surveys_opt_in", Column::Boolean),
    ("survey_config", Column::Json),
    ("product_tours_opt_in", Column::Boolean),
    ("inject_web_apps", Column::Boolean),
    ("flags_persistence_default", Column::Boolean),
    ("logs_settings", Column::Json),
    ("conversations_enabled", Column::Boolean),
    ("conversations_settings", Column::Json),
    ("extra_settings", Column::Json),
    ("session_recording_opt_in", Column::Boolean),
    ("session_recording_sample_rate", Column::Share),
    ("session_recording_minimum_duration_milliseconds", Column::Integer),
    ("session_recording_linked_flag", Column::Json),
    ("session_recording_network_payload_capture_config", Column::Json),
    ("session_recording_masking_config", Column::Json),
    ("session_recording_url_trigger_config", Column::Json),
    ("session_recording_url_blocklist_config", Column::Json),
    ("session_recording_event_trigger_config", Column::Json),
    ("session_recording_trigger_match_type_config", Column::Text),
    ("session_recording_trigger_groups", Column::Json),
    ("session_replay_config", Column::Json),
    ("recording_domains", Column::Json),
    ("created_at", Column::Text),
    ("updated_at", Column::Text),
];

/// Names of the further team columns, for stores that keep each in a column.
pub const SETTING_NAMES: [&str; SETTINGS.len()] = {
    let mut names = [""; SETTINGS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = SETTINGS[index].0;
        index += 1;
    }
    names
};

pub(super) fn read(path: &Path<'_>, raw: &RawValue, notes: &mut Notes) -> DocumentTeam {
    let Some(mut object) = Object::open(path, raw, notes) else {
        return DocumentTeam::default();
    };
    let token = object.required_text("api_token", TOKEN_CHARS_MAX, notes);
    let team = DocumentTeam {
        id: object.id("id", notes),
        project_id: object.integer("project_id", 1, i64::MAX, notes),
        uuid: object.uuid("uuid", notes),
        organization_id: object.uuid("organization_id", notes),
        name: object.text("name", TOKEN_CHARS_MAX, notes),
        api_token: token.unwrap_or_default(),
        secret_api_token: optional_token(&mut object, "secret_api_token", notes),
        secret_api_token_backup: optional_token(&mut object, "secret_api_token_backup", notes),
        timezone: object.text("timezone", TIMEZONE_CHARS_MAX, notes),
        cookieless_server_hash_mode: object
            .integer("cookieless_server_hash_mode", 0, 2, notes)
            .unwrap_or(0),
        minimal_flag_called_events: object.boolean("minimal_flag_called_events", notes),
        property_matching_version: object.integer("property_matching_version", 1, i64::from(i32::MAX), notes),
        settings: SETTINGS
            .iter()
            .filter_map(|(name, column)| Some((*name, setting(&mut object, name, *column, notes)?)))
            .collect(),
    };
    if let Some(timezone) = &team.timezone
        && jiff::tz::TimeZone::get(timezone).is_err()
    {
        notes.warn(&path.key("timezone"), "unknown time zone, counts as UTC");
    }
    object.finish(notes);
    team
}

/// A secret: absent, or not empty.
fn optional_token(object: &mut Object<'_, '_>, key: &str, notes: &mut Notes) -> Option<String> {
    let token = object.text(key, TOKEN_CHARS_MAX, notes)?;
    if token.is_empty() {
        notes.problem(&object.path.key(key), "\"\"", "a token, or null");
        return None;
    }
    Some(token)
}

fn setting(object: &mut Object<'_, '_>, key: &str, column: Column, notes: &mut Notes) -> Option<Setting> {
    match column {
        Column::Boolean => object.boolean(key, notes).map(Setting::Boolean),
        Column::Integer => object
            .integer(key, i64::from(i32::MIN), i64::from(i32::MAX), notes)
            .map(Setting::Integer),
        Column::Text => object.text(key, TOKEN_CHARS_MAX, notes).map(Setting::Text),
        Column::Json => object.json(key, notes).map(|text| Setting::Text(text.to_owned())),
        Column::Share => share(object, key, notes).map(Setting::Text),
    }
}

fn share(object: &mut Object<'_, '_>, key: &str, notes: &mut Notes) -> Option<String> {
    let raw = object.take(key)?;
    let text = serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
    if text
        .parse::<f64>()
        .is_ok_and(|share| (0.0..10.0).contains(&share))
    {
        return Some(text);
    }
    notes.problem(&object.path.key(key), raw.get(), "a number from 0 to 9.99");
    None
}
