//! `array/config.json`: what Django last stored for the team, or what the team's own settings say (`http.md` 11.5).
//!
//! Surveys, site apps and plugin sources are assembled by Django alone (`storage.md` 4.6); a built entry has them at their
//! off values. Everything that stands in a column of the team or in the table of suppression rules is built here.

mod conversations;
mod options;
mod recording;
mod settings;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::{DOCUMENT_BYTES_MAX, document};
use crate::hypercache::database::ProjectRows;
use crate::hypercache::json::{Json, object};
use conversations::conversations;
use recording::session_recording;
use settings::TeamSettings;

pub use options::ConfigOptions;

/// Members that [`built_config`] may write.
const MEMBERS: [&str; 22] = [
    "analytics",
    "autocaptureExceptions",
    "autocapture_opt_out",
    "captureDeadClicks",
    "capturePerformance",
    "config",
    "conversations",
    "defaultIdentifiedOnly",
    "elementsChainAsString",
    "errorTracking",
    "hasFeatureFlags",
    "heatmaps",
    "isAuthenticated",
    "logs",
    "productTours",
    "sessionRecording",
    "siteApps",
    "supportedCompression",
    "survey_config",
    "surveys",
    "token",
    "toolbarParams",
];

/// Canonical text of the stored remote configuration; `None` when there is none or it is no object.
#[must_use]
pub fn config_payload(rows: &ProjectRows) -> Option<String> {
    let text = rows.remote_config.as_deref()?;
    match Json::parse(text, DOCUMENT_BYTES_MAX) {
        Ok(config @ Json::Object(_)) => Some(config.canonical()),
        _ => None,
    }
}

/// Canonical text of the configuration that the team's settings make.
#[must_use]
pub fn built_config(rows: &ProjectRows, options: &ConfigOptions) -> String {
    let team = TeamSettings::read(&rows.team);
    let has_flags = rows.flags.iter().any(|flag| flag.active && !flag.deleted);
    let exceptions = team.is_on("autocapture_exceptions_opt_in");
    let surveys = team.is_on("surveys_opt_in");
    let mut config = object([
        ("token", Json::from(rows.team.api_token.as_str())),
        (
            "supportedCompression",
            Json::Array(vec![Json::from("gzip"), Json::from("gzip-js")]),
        ),
        ("hasFeatureFlags", has_flags.into()),
        ("captureDeadClicks", team.is_on("capture_dead_clicks").into()),
        ("capturePerformance", capture_performance(&team)),
        ("autocapture_opt_out", team.is_on("autocapture_opt_out").into()),
        ("autocaptureExceptions", exceptions.into()),
        ("errorTracking", error_tracking(rows, exceptions)),
        (
            "logs",
            object([(
                "captureConsoleLogs",
                team.is_on_in("logs_settings", "capture_console_logs").into(),
            )]),
        ),
        ("sessionRecording", session_recording(&team)),
        ("heatmaps", team.is_on("heatmaps_opt_in").into()),
        ("conversations", conversations(&team)),
        // Which surveys there are is Django's to say; SDKs that are told `true` ask it.
        ("surveys", surveys.into()),
        ("productTours", team.is_on("product_tours_opt_in").into()),
        ("defaultIdentifiedOnly", true.into()),
        ("siteApps", Json::Array(Vec::new())),
        ("isAuthenticated", false.into()),
        ("toolbarParams", object([])),
        ("config", object([("enable_collect_everything", true.into())])),
    ]);
    if let Json::Object(members) = &mut config {
        let mut add = |name, value| members.insert(Cow::Borrowed(name), value);
        if !options.analytics_endpoint.is_empty() && !options.analytics_excluded.contains(rows.team.id) {
            let endpoint = Json::from(options.analytics_endpoint.as_str());
            add("analytics", object([("endpoint", endpoint)]));
        }
        if !options.elements_chain_excluded.contains(rows.team.id) {
            add("elementsChainAsString", true.into());
        }
        if surveys && let Some(survey_config) = team.object("survey_config") {
            add("survey_config", survey_config);
        }
    }
    config.canonical()
}

/// Whether a stored text has nothing that the builder could not have written, so that a newly built one may replace it.
/// Nobody can use what is no object; Django's own has members, surveys or site apps that would be lost.
#[must_use]
pub fn is_replaceable(text: &str) -> bool {
    let Ok(Json::Object(members)) = Json::parse(text, DOCUMENT_BYTES_MAX) else {
        return true;
    };
    let is_off = |name: &str| members.get(name).is_none_or(|value| value.elements().is_empty());
    members.keys().all(|name| MEMBERS.contains(&name.as_ref())) && is_off("surveys") && is_off("siteApps")
}

fn capture_performance<'t>(team: &TeamSettings<'t>) -> Json<'t> {
    let network = team.is_on("capture_performance_opt_in");
    let web_vitals = team.is_on("autocapture_web_vitals_opt_in");
    if !network && !web_vitals {
        return false.into();
    }
    object([
        ("network_timing", network.into()),
        ("web_vitals", web_vitals.into()),
        (
            "web_vitals_allowed_metrics",
            team.value("autocapture_web_vitals_allowed_metrics"),
        ),
    ])
}

fn error_tracking(rows: &ProjectRows, exceptions: bool) -> Json<'_> {
    let rules = rows.suppression_rules.iter();
    let rules = rules.map(|filters| document(Some(filters), DOCUMENT_BYTES_MAX));
    object([
        ("autocaptureExceptions", exceptions.into()),
        ("suppressionRules", Json::Array(rules.collect())),
    ])
}
