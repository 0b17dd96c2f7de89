//! `array/config.json`: what Django last stored for the team, or the least that an SDK needs (`storage.md` 4.6).

use std::borrow::Cow;

use super::DOCUMENT_BYTES_MAX;
use crate::hypercache::database::ProjectRows;
use crate::hypercache::json::{Json, object};

/// Canonical text of the stored remote configuration; `None` when there is none or it is no object.
#[must_use]
pub fn config_payload(rows: &ProjectRows) -> Option<String> {
    let text = rows.remote_config.as_deref()?;
    match Json::parse(text, DOCUMENT_BYTES_MAX) {
        Ok(config @ Json::Object(_)) => Some(config.canonical()),
        _ => None,
    }
}

/// Canonical text of the minimal configuration (`http.md` 11.3), with the team's token.
#[must_use]
pub fn minimal_config(rows: &ProjectRows) -> String {
    let has_flags = rows.flags.iter().any(|flag| flag.active && !flag.deleted);
    let mut config = object([
        ("token", Json::from(rows.team.api_token.as_str())),
        ("hasFeatureFlags", has_flags.into()),
        (
            "supportedCompression",
            Json::Array(vec![Json::from("gzip"), Json::from("gzip-js")]),
        ),
        ("isAuthenticated", false.into()),
        ("toolbarParams", object([])),
        ("config", object([("enable_collect_everything", true.into())])),
    ]);
    if let Json::Object(members) = &mut config {
        for name in [
            "sessionRecording",
            "surveys",
            "heatmaps",
            "capturePerformance",
            "autocaptureExceptions",
        ] {
            members.insert(Cow::Borrowed(name), false.into());
        }
    }
    config.canonical()
}
