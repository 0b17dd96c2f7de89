//! Which config fields an answer has (`http.md` 3.2, 11), from the query, the headers and the team's pieces.

use hyper::header::{HeaderName, ORIGIN, REFERER, USER_AGENT};

use super::FlagsCall;
use crate::wire::response::{Caller, ConfigFragments, ConfigPart, Recording};

/// The fields of an answer: asked for by `config`, which decide requests leave out and mean. `recordings_limited` is asked
/// only when the answer depends on it: whether the project is over its recordings quota.
pub(super) fn config_part<'a>(
    call: &FlagsCall<'_>,
    fragments: Option<&'a ConfigFragments>,
    recordings_limited: impl FnOnce() -> bool,
) -> ConfigPart<'a> {
    if !call.query.config.unwrap_or(call.is_decide) {
        return ConfigPart::Off;
    }
    let Some(fragments) = fragments else {
        return ConfigPart::Fallback;
    };
    let header = |name: &HeaderName| call.headers.get(name)?.to_str().ok();
    let caller = || Caller {
        origin: header(&ORIGIN),
        referer: header(&REFERER),
        user_agent: header(&USER_AGENT),
    };
    let recording = if recordings_limited() {
        Recording::OverQuota
    } else if fragments.permit_recording(caller) {
        Recording::AsStored
    } else {
        Recording::Refused
    };
    ConfigPart::Of { fragments, recording }
}
