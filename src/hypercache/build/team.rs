//! `full_metadata.json`: the team (`storage.md` 3.3, 4.5).

use std::borrow::Cow;

use super::{DOCUMENT_BYTES_MAX, document};
use crate::hypercache::database::{TEAM_SETTING_COLUMNS, TeamRow};
use crate::hypercache::json::{Json, object};

/// Canonical text of `full_metadata.json`. It holds secrets in the clear: never log it.
#[must_use]
pub fn team_payload(row: &TeamRow) -> String {
    let mut team = object([
        ("id", Json::integer(row.id.into())),
        ("project_id", row.project_id.map_or(Json::Null, Json::integer)),
        (
            "organization_id",
            Json::text_or_null(row.organization_id.as_deref()),
        ),
        ("uuid", Json::from(row.uuid.as_str())),
        ("name", Json::from(row.name.as_str())),
        ("api_token", Json::from(row.api_token.as_str())),
        (
            "secret_api_token",
            Json::text_or_null(row.secret_api_token.as_deref()),
        ),
        (
            "secret_api_token_backup",
            Json::text_or_null(row.secret_api_token_backup.as_deref()),
        ),
        ("timezone", Json::from(row.timezone.as_str())),
        (
            "organization_name",
            Json::text_or_null(row.organization_name.as_deref()),
        ),
        ("project_name", Json::text_or_null(row.project_name.as_deref())),
        (
            "minimal_flag_called_events",
            row.minimal_flag_called_events.into(),
        ),
    ]);
    if let Json::Object(members) = &mut team {
        for (place, column) in TEAM_SETTING_COLUMNS.into_iter().enumerate() {
            let mut value = document(row.settings.get(place).map(String::as_str), DOCUMENT_BYTES_MAX);
            if column == "session_recording_sample_rate" {
                value = sample_rate(value);
            }
            members.insert(Cow::Borrowed(column), value);
        }
    }
    team.canonical()
}

/// A decimal of two places as text; all of them (`1.00`) is null.
fn sample_rate(value: Json<'_>) -> Json<'_> {
    let (Json::Number(text) | Json::String(text)) = &value else {
        return Json::Null;
    };
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate != 1.0 => Json::String(Cow::Owned(format!("{rate:.2}"))),
        _ => Json::Null,
    }
}
