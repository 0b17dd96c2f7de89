//! OTLP over HTTP: the message is the body.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Request, http::Error};

use super::address::Address;
use super::client::Answer;
use crate::telemetry::trace::{ExportError, Read, Retry, fields};

/// Path of traces below the endpoint.
pub(super) const PATH: &str = "/v1/traces";

/// Type of messages both ways.
const PROTOBUF: &str = "application/x-protobuf";

/// Statuses after which the same message may be sent again (OTLP specification, "Retryable Response Codes").
const RETRYABLE: [u16; 4] = [429, 502, 503, 504];

/// Characters of a refusal that are repeated to people.
const DETAIL_CHARS_MAX: usize = 200;

/// As this program names itself.
pub(super) const AGENT: &str = concat!("feature-flags/", env!("CARGO_PKG_VERSION"));

pub(super) fn request(address: &Address, message: Bytes) -> Result<Request<Full<Bytes>>, Error> {
    let target = &address.target;
    // HTTP/1.1 has the host in a header and the path alone in its first line.
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let host = target.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::post(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, PROTOBUF)
        .header(USER_AGENT, AGENT)
        .body(Full::new(message))?;
    request.headers_mut().extend(address.headers.clone());
    Ok(request)
}

pub(super) fn answer(answer: Answer) -> Result<Bytes, ExportError> {
    if (200..300).contains(&answer.status) {
        return Ok(answer.body);
    }
    let mut detail = format!("status {}", answer.status);
    if let Some(words) = words(&answer) {
        detail = format!("{detail}: {words}");
    }
    let retry = if RETRYABLE.contains(&answer.status) {
        Retry::After(asked_for(&answer.headers))
    } else {
        Retry::Never
    };
    Err(ExportError { retry, detail })
}

/// Seconds of `Retry-After`; a date counts as none.
pub(super) fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What a refusal says: the message of a `google.rpc.Status`, or its text.
fn words(answer: &Answer) -> Option<String> {
    let is_status = answer
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(PROTOBUF.as_bytes()));
    let text = if is_status {
        fields(&answer.body).find_map(|field| match field {
            (2, Read::Bytes(text)) => Some(text),
            _ => None,
        })?
    } else {
        &answer.body
    };
    let text = String::from_utf8_lossy(text);
    let line: String = text
        .trim()
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(DETAIL_CHARS_MAX)
        .collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &'static [u8],
    ) -> Result<Bytes, ExportError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        answer(Answer {
            status,
            headers: map,
            body: Bytes::from_static(body),
            trailers: HeaderMap::new(),
        })
    }

    #[test]
    fn only_overload_and_gateways_are_asked_again() {
        for status in [400, 401, 403, 404, 413, 500, 501, 505] {
            assert_eq!(
                answered(status, &[], b"").unwrap_err().retry,
                Retry::Never,
                "{status}"
            );
        }
        for status in [429, 502, 503, 504] {
            assert_eq!(
                answered(status, &[], b"").unwrap_err().retry,
                Retry::After(None),
                "{status}"
            );
        }
        let asked = answered(503, &[("retry-after", " 7 ")], b"").unwrap_err();
        assert_eq!(asked.retry, Retry::After(Some(Duration::from_secs(7))));
    }

    #[test]
    fn a_refusal_is_told_in_the_collectors_words() {
        assert_eq!(
            answered(404, &[], b" no\nroute ").unwrap_err().detail,
            "status 404: no route"
        );
        let protobuf = ("content-type", PROTOBUF);
        let status = answered(400, &[protobuf], b"\x08\x03\x12\x03bad").unwrap_err();
        assert_eq!(status.detail, "status 400: bad");
        assert_eq!(answered(200, &[protobuf], b"ok"), Ok(Bytes::from_static(b"ok")));
    }
}
