//! `conversations`: the support widget (`http.md` 11.5), with PostHog's own texts where the team has set none.

use super::settings::TeamSettings;
use crate::hypercache::json::{Json, object};

const SETTINGS: &str = "conversations_settings";

/// `false` unless the team has the widget.
pub(super) fn conversations<'t>(team: &TeamSettings<'t>) -> Json<'t> {
    if !team.is_on("conversations_enabled") {
        return false.into();
    }
    let is_on = |member| team.is_on_in(SETTINGS, member).into();
    let text = |member, default| team.text_in(SETTINGS, member).unwrap_or(Json::from(default));
    let domains = match team.member(SETTINGS, "widget_domains") {
        Some(domains @ Json::Array(_)) => domains.clone(),
        _ => Json::Array(Vec::new()),
    };
    let token = team
        .text_in(SETTINGS, "widget_public_token")
        .unwrap_or(Json::Null);
    object([
        ("enabled", true.into()),
        ("widgetEnabled", is_on("widget_enabled")),
        (
            "greetingText",
            text("widget_greeting_text", "Hey, how can I help you today?"),
        ),
        ("color", text("widget_color", "#1d4aff")),
        ("token", token),
        ("domains", domains),
        ("requireEmail", is_on("widget_require_email")),
        ("collectName", is_on("widget_collect_name")),
        (
            "identificationFormTitle",
            text("widget_identification_form_title", "Before we start..."),
        ),
        (
            "identificationFormDescription",
            text(
                "widget_identification_form_description",
                "Please provide your details so we can help you better.",
            ),
        ),
        (
            "placeholderText",
            text("widget_placeholder_text", "Type your message..."),
        ),
        ("widgetPosition", text("widget_position", "bottom_right")),
    ])
}
