//! `GET /flags` and `GET /decide`: the minimal answer (`http.md` 10.6).

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::HeaderMap;
use uuid::Uuid;

/// From this version on the v2 shape, below it the legacy one.
const V2_FROM: i32 = 2;

/// The body for a request with this `v`; the decide header and path make no difference here.
pub(super) fn answer(version: Option<i32>, headers: &HeaderMap) -> Bytes {
    let flags = if version.is_some_and(|version| version >= V2_FROM) {
        r#""flags":{}"#
    } else {
        r#""featureFlags":{},"featureFlagPayloads":{}"#
    };
    let request_id = request_id(headers);
    let evaluated_at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    Bytes::from(format!(
        "{{\"errorsWhileComputingFlags\":false,{flags},\"requestId\":\"{request_id}\",\
         \"evaluatedAt\":{evaluated_at},\"supportedCompression\":[\"gzip\",\"gzip-js\"],\
         \"config\":{{\"enable_collect_everything\":true}},\"toolbarParams\":{{}},\"isAuthenticated\":false,\
         \"sessionRecording\":false}}"
    ))
}

/// `X-Request-Id` when it is a UUID in any usual notation, else a new random one (`http.md` 4.1).
fn request_id(headers: &HeaderMap) -> uuid::fmt::Hyphenated {
    headers
        .get("x-request-id")
        .and_then(|value| Uuid::try_parse_ascii(value.as_bytes()).ok())
        .unwrap_or_else(Uuid::new_v4)
        .hyphenated()
}
