//! Who a request is about when it names nobody (`http.md` 8.3).

use hyper::header::{ORIGIN, USER_AGENT};

use super::text;
use crate::context::cookieless::{CookielessError, CookielessInput};
use crate::engine::Instant;
use crate::http::clock::milliseconds;
use crate::http::{AppState, FlagsCall, HttpError};
use crate::snapshot::ProjectSnapshot;
use crate::wire::request::FlagRequest;

/// `cookieless_server_hash_mode` of teams whose ids depend on identify counts.
const STATEFUL: i16 = 2;

/// Whether the person's id has to be made from the request itself.
pub(super) fn is_cookieless(state: &AppState, request: &FlagRequest<'_>, snapshot: &ProjectSnapshot) -> bool {
    let mode = snapshot.team.cookieless_server_hash_mode;
    state.cookieless.applies(request.distinct_id, mode)
}

/// The distinct id that takes the place of the sent one (`http.md` 8.3).
pub(super) async fn cookieless_identity(
    state: &AppState,
    call: &FlagsCall<'_>,
    request: &FlagRequest<'_>,
    snapshot: &ProjectSnapshot,
    now: Instant,
) -> Result<String, HttpError> {
    let input = CookielessInput {
        team_id: snapshot.team.id,
        stateful: snapshot.team.cookieless_server_hash_mode == STATEFUL,
        ip: call.client_address(),
        host: text(call.headers, &ORIGIN).unwrap_or_default(),
        user_agent: text(call.headers, &USER_AGENT).unwrap_or_default(),
        sent_at_ms: call.query.sent_at,
        now_ms: milliseconds(now),
        timezone: request.timezone,
        team_timezone: &snapshot.team.timezone,
        extra: request.cookieless_hash_extra.unwrap_or_default(),
    };
    let made = state
        .cookieless
        .distinct_id(&input, std::time::Instant::now())
        .await;
    made.map_err(|error| match error {
        CookielessError::MissingProperty(name) => HttpError::MissingProperty(name),
        CookielessError::InvalidUrl(reason) => HttpError::InvalidUrl(reason),
        CookielessError::InvalidTimestamp => HttpError::InvalidTimestamp,
        CookielessError::OutOfWindow => HttpError::SentAtOutOfWindow,
        CookielessError::Store(_) => HttpError::CookielessUnavailable,
    })
}
