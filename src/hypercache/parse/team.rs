//! The team entry, lenient to everything but identity (`storage.md` 3.3).

use super::{ParseError, TEXT_BYTES_MAX};
use crate::definition::RawTeam;
use crate::hypercache::json::Json;

/// Reads `full_metadata.json` of `token`; only `id` and `api_token` are required.
///
/// # Errors
/// When the text is no object with these two, or when it is another team's. The error quotes nothing: the entry holds secrets.
pub fn parse_team(text: &str, token: &str) -> Result<RawTeam, ParseError> {
    let shape = |detail: &str| ParseError::Shape(detail.to_owned());
    let team = Json::parse(text, TEXT_BYTES_MAX).map_err(|error| ParseError::Shape(error.to_string()))?;
    let integer = |name: &str| team.get(name).and_then(Json::as_id);
    let id = integer("id").and_then(|id| i32::try_from(id).ok());
    let id = id.ok_or_else(|| shape("team without id"))?;
    let api_token = team.get("api_token").and_then(Json::as_str);
    let api_token = api_token.ok_or_else(|| shape("team without token"))?;
    if api_token != token {
        return Err(ParseError::OtherToken);
    }
    let timezone = team.get("timezone").and_then(Json::as_str);
    let hash_mode = integer("cookieless_server_hash_mode").filter(|mode| (0..=2).contains(mode));
    Ok(RawTeam {
        id,
        project_id: integer("project_id").unwrap_or_else(|| id.into()),
        api_token: api_token.to_owned(),
        timezone: timezone.unwrap_or("UTC").to_owned(),
        minimal_flag_called_events: team.get("minimal_flag_called_events").and_then(Json::as_bool)
            == Some(true),
        cookieless_server_hash_mode: hash_mode.and_then(|mode| i16::try_from(mode).ok()).unwrap_or(0),
    })
}

/// Who a team is: what a credential is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamIdentity {
    /// `posthog_team.id`.
    pub id: i32,
    /// Project token.
    pub api_token: String,
    /// Text form; `None`: the team has no organisation.
    pub organization_id: Option<String>,
}

/// Reads of `full_metadata.json` of `token` who the team is.
///
/// # Errors
/// As [`parse_team`].
pub fn parse_identity(text: &str, token: &str) -> Result<TeamIdentity, ParseError> {
    let shape = |detail: &str| ParseError::Shape(detail.to_owned());
    let team = Json::parse(text, TEXT_BYTES_MAX).map_err(|error| ParseError::Shape(error.to_string()))?;
    let id = team.get("id").and_then(Json::as_id);
    let id = id.and_then(|id| i32::try_from(id).ok());
    let api_token = team.get("api_token").and_then(Json::as_str);
    if api_token.ok_or_else(|| shape("team without token"))? != token {
        return Err(ParseError::OtherToken);
    }
    Ok(TeamIdentity {
        id: id.ok_or_else(|| shape("team without id"))?,
        api_token: token.to_owned(),
        organization_id: team
            .get("organization_id")
            .and_then(Json::as_str)
            .map(str::to_owned),
    })
}
