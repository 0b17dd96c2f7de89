//! `GET /flags` and `GET /decide`: the minimal answer (`http.md` 10.6).

use bytes::Bytes;
use hyper::HeaderMap;

use super::clock::{Clock, milliseconds};
use super::request_id::RequestId;
use crate::wire::response::{ConfigPart, Envelope, write_minimal};

/// The body for a request with this `v`; the decide header and path make no difference here.
pub(super) fn answer(version: Option<i32>, headers: &HeaderMap, clock: Clock) -> Bytes {
    let request_id = RequestId::of(headers);
    let envelope = Envelope {
        request_id: request_id.as_str(),
        evaluated_at: milliseconds(clock.now()),
        errors: false,
        quota_limited: false,
        minimal_flag_called_events: false,
        config: ConfigPart::Off,
    };
    let mut out = Vec::with_capacity(512);
    write_minimal(version, &envelope, &mut out);
    out.into()
}
