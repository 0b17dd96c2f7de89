//! Headers that every answer carries: any origin, with credentials (`http.md` 2.3).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue,
    VARY,
};
use hyper::{Response, StatusCode};

use super::respond::{Content, Reply};

const VARY_ON: HeaderValue =
    HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,OPTIONS,HEAD");
const EXPOSED: HeaderValue = HeaderValue::from_static("x-posthog-rate-limit-warning");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

const METRICS: HeaderValue = HeaderValue::from_static(crate::telemetry::metrics::CONTENT_TYPE);

/// Room for all headers that are added here, `date` and `content-length`: the map never grows.
const HEADERS_MAX: usize = 8;

/// Turns a reply into a response. `origin` is mirrored, whatever it is; `*` would be refused by browsers
/// together with credentials.
pub(super) fn respond(reply: Reply, origin: Option<HeaderValue>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    let mut headers = common(origin);
    match reply.content {
        Content::None => {}
        Content::Json => drop(headers.insert(CONTENT_TYPE, JSON)),
        Content::Text => drop(headers.insert(CONTENT_TYPE, TEXT)),
        Content::Metrics => drop(headers.insert(CONTENT_TYPE, METRICS)),
    }
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if let Some(allow) = reply.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    *response.headers_mut() = headers;
    response
}

/// The answer to any OPTIONS request. `allow` is what the route's own handler would have added.
pub(super) fn preflight(
    origin: Option<HeaderValue>,
    requested: Option<HeaderValue>,
    allow: Option<&'static str>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::OK;
    let mut headers = common(origin);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    if let Some(requested) = requested {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, requested);
    }
    if let Some(allow) = allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    *response.headers_mut() = headers;
    response
}

fn common(origin: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS_MAX);
    headers.insert(VARY, VARY_ON);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers
}
