//! Where requests meet tracing: what of their headers it looks at. Called only where requests are traced at all.

use hyper::HeaderMap;
use hyper::header::HeaderName;

use super::observe::Arrival;
use super::request_id::RequestId;
use crate::telemetry::trace::{RequestStart, RequestTrace, Tracer};
use crate::telemetry::{Ending, RequestNote};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Methods by OpenTelemetry's conventions; anything else is `_OTHER`.
const METHODS: [&str; 9] = [
    "POST", "GET", "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE",
];

/// The trace of a request that begins, if it is sampled.
#[cold]
#[inline(never)]
pub(super) fn begin(
    tracer: &Tracer,
    arrival: &Arrival<'_>,
    note: Option<&mut RequestNote>,
) -> Option<Box<RequestTrace>> {
    let headers = arrival.headers;
    let start = || RequestStart {
        at: arrival.started,
        method: METHODS
            .into_iter()
            .find(|known| *known == arrival.method.as_str())
            .unwrap_or("_OTHER"),
        route: arrival.path.name(),
    };
    let trace = tracer.begin(parent(headers), || state(headers), start)?;
    if let Some(note) = note {
        note.traced(trace.ids());
    }
    Some(trace)
}

/// The request has its answer, and its log line.
#[cold]
#[inline(never)]
pub(super) fn end(
    trace: RequestTrace,
    arrival: &Arrival<'_>,
    mut note: Option<&mut RequestNote>,
    ending: &Ending,
) {
    if let Some(note) = &mut note
        && note.request_id.is_none()
    {
        note.request_id = Some(RequestId::of(arrival.headers).bytes());
    }
    trace.end(note.as_deref(), ending);
}

/// The one `traceparent`; several are as good as none.
fn parent(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(&TRACEPARENT).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => Some(one.as_bytes()),
        _ => None,
    }
}

/// All of `tracestate`, which may be spread over several headers.
fn state(headers: &HeaderMap) -> Option<Vec<u8>> {
    let all: Vec<&[u8]> = headers
        .get_all(&TRACESTATE)
        .iter()
        .map(|part| part.as_bytes())
        .collect();
    (!all.is_empty()).then(|| all.join(&b','))
}
