//! Which config fields an answer has (`http.md` 3.2, 11), from the query, the headers, the quota and the team's pieces.

use hyper::header::{HeaderName, ORIGIN, REFERER, USER_AGENT};

use super::{AppState, FlagsCall};
use crate::quota::Resource;
use crate::snapshot::ProjectSnapshot;
use crate::wire::response::{Caller, ConfigPart, Recording};

/// The fields of an answer: asked for by `config`, which decide requests may leave out and mean.
pub(super) fn config_part<'s>(
    state: &AppState,
    call: &FlagsCall<'_>,
    snapshot: &'s ProjectSnapshot,
) -> ConfigPart<'s> {
    if !call.query.config.unwrap_or(call.is_decide) {
        return ConfigPart::Off;
    }
    let Some(fragments) = &snapshot.config else {
        return ConfigPart::Fallback;
    };
    let header = |name: &HeaderName| call.headers.get(name)?.to_str().ok();
    let caller = || Caller {
        origin: header(&ORIGIN),
        referer: header(&REFERER),
        user_agent: header(&USER_AGENT),
    };
    let limited = state
        .quota
        .is_limited(Resource::Recordings, &snapshot.team.api_token);
    let recording = if limited {
        Recording::OverQuota
    } else if fragments.permit_recording(caller) {
        Recording::AsStored
    } else {
        Recording::Refused
    };
    ConfigPart::Of { fragments, recording }
}
