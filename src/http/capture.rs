//! Where requests meet the recorder: what it may see of them.

use std::sync::Arc;
use std::time::Instant;

use hyper::HeaderMap;
use hyper::http::request::Parts;

use super::{AppState, FlagsCall};
use crate::recorder::{Captured, Recorder, Teams};
use crate::snapshot::{ProjectSnapshot, SnapshotMap};

/// Headers that an answer can depend on (`http.md` 4.1), and no others of PostHog's own prefix: SDKs send ids of people and sessions there. Of `authorization` the recorder keeps the hash of a
/// project token at most; cookies are not among them.
const HEADERS: [&str; 10] = [
    "content-type",
    "content-encoding",
    "user-agent",
    "origin",
    "referer",
    "sec-fetch-mode",
    "sec-fetch-site",
    "x-original-endpoint",
    "x-posthog-project-api-key",
    "authorization",
];

/// Bytes of a header's value that are kept; longer ones are left out.
const VALUE_BYTES_MAX: usize = 4096;

/// Headers that are kept.
const HEADERS_MAX: usize = 32;

/// A request that will be handed to the recorder, however it ends.
pub(super) struct Capture<'s> {
    recorder: &'s Recorder,
    captured: Option<Box<Captured>>,
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        if let Some(captured) = self.captured.take() {
            self.recorder.offer(captured);
        }
    }
}

/// The request, if there is a recorder that wants it.
#[inline]
pub(super) fn begin<'s>(
    state: &'s AppState,
    parts: &Parts,
    call: &FlagsCall<'_>,
    body: &[u8],
) -> Option<Capture<'s>> {
    let recorder = state.recorder.as_ref()?;
    recorder.wants_one().then(|| copy(recorder, parts, call, body))
}

#[cold]
fn copy<'s>(recorder: &'s Recorder, parts: &Parts, call: &FlagsCall<'_>, body: &[u8]) -> Capture<'s> {
    let captured = Captured {
        at: Instant::now(),
        path: parts.uri.path().into(),
        query: parts.uri.query().map(Into::into),
        headers: headers(&parts.headers),
        client: recorder.keeps_client().then(|| call.client_address()),
        body: body.into(),
    };
    Capture {
        recorder,
        captured: Some(Box::new(captured)),
    }
}

fn headers(all: &HeaderMap) -> Vec<(Box<str>, Box<str>)> {
    all.iter()
        .filter(|(name, _)| HEADERS.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .filter(|(_, value)| value.len() <= VALUE_BYTES_MAX)
        .take(HEADERS_MAX)
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// The recorder's view of what is held.
pub(super) struct Held(pub Arc<SnapshotMap>);

impl Teams for Held {
    fn held(&self, token: &str) -> Option<Arc<ProjectSnapshot>> {
        self.0.peek(token)
    }
}
