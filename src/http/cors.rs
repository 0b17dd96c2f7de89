//! Headers that every answer carries: any origin, with credentials (`http.md` 2.3).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW,
    CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, VARY,
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

/// A request's map with more room than this is not used again: a connection would keep it.
const RECYCLED_HEADERS_MAX: usize = 64;

/// Turns a reply into a response. `origin` is mirrored, whatever it is; `*` would be refused by browsers
/// together with credentials.
///
/// `spent` are the request's headers: the answer's are put into their memory, which hyper then reads the
/// connection's next request into. So no connection allocates header maps after its first request.
pub(super) fn respond(reply: Reply, spent: HeaderMap) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    let origin = spent.get(ORIGIN).cloned();
    let mut headers = recycled(spent);
    add_common(&mut headers, origin);
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
pub(super) fn preflight(spent: HeaderMap, allow: Option<&'static str>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::OK;
    let origin = spent.get(ORIGIN).cloned();
    let requested = spent.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut headers = recycled(spent);
    add_common(&mut headers, origin);
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

/// An empty map, in the memory of one that is not needed any more.
fn recycled(mut spent: HeaderMap) -> HeaderMap {
    if (HEADERS_MAX..=RECYCLED_HEADERS_MAX).contains(&spent.capacity()) {
        spent.clear();
        return spent;
    }
    HeaderMap::with_capacity(HEADERS_MAX)
}

fn add_common(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.insert(VARY, VARY_ON);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_request_but_its_origin_is_in_the_answer() {
        for extra in [0, 5, 20, 99] {
            let mut spent = HeaderMap::new();
            spent.insert("origin", HeaderValue::from_static("https://a.test"));
            spent.append("x-secret", HeaderValue::from_static("one"));
            spent.append("x-secret", HeaderValue::from_static("two"));
            for number in 0..extra {
                let name = format!("x-{number}")
                    .parse::<hyper::header::HeaderName>()
                    .unwrap();
                spent.insert(name, HeaderValue::from_static("v"));
            }
            let headers = respond(Reply::json(Bytes::new()), spent).into_parts().0.headers;
            assert_eq!(headers.len(), 5, "{headers:?}");
            assert_eq!(headers["access-control-allow-origin"], "https://a.test");
            assert_eq!(headers["content-type"], "application/json");
            assert!(headers.capacity() <= RECYCLED_HEADERS_MAX);
        }
    }
}
