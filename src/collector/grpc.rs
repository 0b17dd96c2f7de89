//! OTLP over gRPC: a unary call, whose message has a prefix of five bytes and whose status comes behind the answer.

use std::time::Duration;

use base64_simd::forgiving_decode_to_vec;
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE, USER_AGENT};
use hyper::{HeaderMap, Request, http::Error};

use super::address::Address;
use super::client::Answer;
use super::http::{AGENT, asked_for};
use crate::telemetry::trace::{ExportError, Read, Retry, fields};

/// The call.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Not compressed, and the length.
const PREFIX_BYTES: usize = 5;

static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
static GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Statuses after which the same message may be sent again (OTLP specification, "Failures"): cancelled, deadline exceeded,
/// aborted, out of range, unavailable, data loss.
const RETRYABLE: [u8; 6] = [1, 4, 10, 11, 14, 15];

/// May be asked again only where the collector says when.
const RESOURCE_EXHAUSTED: u8 = 8;

/// Characters of a refusal that are repeated to people.
const DETAIL_CHARS_MAX: usize = 200;

pub(super) fn request(
    address: &Address,
    message: &[u8],
    limit: Duration,
) -> Result<Request<Full<Bytes>>, Error> {
    let mut body = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    body.put_u8(0);
    // A batch is far below four gigabytes.
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.put_slice(message);
    let mut request = Request::post(address.target.clone())
        .header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .header(TE, HeaderValue::from_static("trailers"))
        .header(USER_AGENT, AGENT)
        .header(&GRPC_TIMEOUT, format!("{}m", limit.as_millis().min(99_999_999)))
        .body(Full::new(body.freeze()))?;
    request.headers_mut().extend(address.headers.clone());
    Ok(request)
}

pub(super) fn answer(answer: &Answer) -> Result<Bytes, ExportError> {
    // An answer without a body has its status among the headers.
    let said = if answer.headers.contains_key(&GRPC_STATUS) {
        &answer.headers
    } else {
        &answer.trailers
    };
    let status = said
        .get(&GRPC_STATUS)
        .and_then(|status| status.to_str().ok()?.parse::<u8>().ok());
    match status {
        Some(0) => {
            message(&answer.body).ok_or_else(|| ExportError::never("an answer that is no message of gRPC"))
        }
        Some(code) => Err(refused(code, said)),
        // Something else than gRPC has answered: a proxy, or a server of HTTP.
        None => Err(ExportError {
            retry: match answer.status {
                429 | 502..=504 => Retry::After(asked_for(&answer.headers)),
                _ => Retry::Never,
            },
            detail: format!("status {} of HTTP, not of gRPC", answer.status),
        }),
    }
}

fn message(body: &Bytes) -> Option<Bytes> {
    let prefix = body.get(..PREFIX_BYTES)?;
    let length = u32::from_be_bytes(prefix.get(1..)?.try_into().ok()?);
    let end = PREFIX_BYTES.checked_add(usize::try_from(length).ok()?)?;
    (prefix.first() == Some(&0) && end <= body.len()).then(|| body.slice(PREFIX_BYTES..end))
}

fn refused(code: u8, said: &HeaderMap) -> ExportError {
    let asked = said
        .get(&GRPC_DETAILS)
        .and_then(|details| retry_delay(details.as_bytes()));
    let retry = if RETRYABLE.contains(&code) || (code == RESOURCE_EXHAUSTED && asked.is_some()) {
        Retry::After(asked)
    } else {
        Retry::Never
    };
    let mut detail = format!("grpc-status {code}");
    if let Some(text) = said.get(&GRPC_MESSAGE) {
        let text = String::from_utf8_lossy(text.as_bytes());
        detail.push_str(": ");
        detail.extend(
            text.chars()
                .filter(|letter| !letter.is_control())
                .take(DETAIL_CHARS_MAX),
        );
    }
    ExportError { retry, detail }
}

/// The delay of a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    let status = forgiving_decode_to_vec(details).ok()?;
    let any = |field| match field {
        // `details`, each an `Any` of a type and its bytes.
        (3, Read::Bytes(any)) => Some(any),
        _ => None,
    };
    let info = fields(&status).filter_map(any).find_map(|any| {
        let is_info = fields(any)
            .any(|field| matches!(field, (1, Read::Bytes(kind)) if kind.ends_with(b"google.rpc.RetryInfo")));
        let value = fields(any).find_map(|field| match field {
            (2, Read::Bytes(value)) => Some(value),
            _ => None,
        });
        is_info.then(|| value.unwrap_or_default())
    })?;
    let delay = fields(info).find_map(|field| match field {
        (1, Read::Bytes(delay)) => Some(delay),
        _ => None,
    });
    let (mut seconds, mut nanoseconds) = (0, 0);
    for field in fields(delay.unwrap_or_default()) {
        match field {
            (1, Read::Number(number)) => seconds = number,
            (2, Read::Number(number)) => nanoseconds = number,
            _ => {}
        }
    }
    let nanoseconds = u32::try_from(nanoseconds)
        .ok()
        .filter(|part| *part < 1_000_000_000)?;
    Some(Duration::new(seconds.min(u64::from(u32::MAX)), nanoseconds))
}

#[cfg(test)]
mod tests {
    use base64_simd::STANDARD_NO_PAD;

    use super::*;
    use crate::telemetry::trace::Message;

    fn answered(
        headers: &[(&'static str, String)],
        trailers: &[(&'static str, String)],
        body: &[u8],
    ) -> Result<Bytes, ExportError> {
        let map = |pairs: &[(&'static str, String)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.insert(*name, value.parse().unwrap());
            }
            map
        };
        answer(&Answer {
            status: 200,
            headers: map(headers),
            body: Bytes::copy_from_slice(body),
            trailers: map(trailers),
        })
    }

    fn status(code: u8) -> (&'static str, String) {
        ("grpc-status", code.to_string())
    }

    fn retry_info(seconds: i64) -> (&'static str, String) {
        let mut message = Message::default();
        message.integer(1, 8);
        message.message(3, |any| {
            any.bytes(1, b"type.googleapis.com/google.rpc.RetryInfo");
            any.message(2, |info| info.message(1, |delay| delay.integer(1, seconds)));
        });
        (
            "grpc-status-details-bin",
            STANDARD_NO_PAD.encode_to_string(message.into_bytes()),
        )
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        for code in [2, 3, 5, 6, 7, 8, 9, 12, 13, 16, 99] {
            assert_eq!(
                answered(&[status(code)], &[], b"").unwrap_err().retry,
                Retry::Never,
                "{code}"
            );
        }
        for code in [1, 4, 10, 11, 14, 15] {
            assert_eq!(
                answered(&[], &[status(code)], b"").unwrap_err().retry,
                Retry::After(None),
                "{code}"
            );
        }
        let asked = answered(&[status(8), retry_info(9)], &[], b"").unwrap_err();
        assert_eq!(asked.retry, Retry::After(Some(Duration::from_secs(9))));
    }

    #[test]
    fn an_answer_is_a_message_and_a_status_behind_it() {
        assert_eq!(
            answered(&[], &[status(0)], b"\0\0\0\0\x02ok"),
            Ok(Bytes::from_static(b"ok"))
        );
        for broken in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x03ok", b"\x01\0\0\0\0"] {
            assert!(answered(&[], &[status(0)], broken).is_err(), "{broken:?}");
        }
        assert_eq!(
            answered(&[], &[], b"<html>").unwrap_err().detail,
            "status 200 of HTTP, not of gRPC"
        );
        let words = answered(&[status(7), ("grpc-message", "who are you".into())], &[], b"").unwrap_err();
        assert_eq!(words.detail, "grpc-status 7: who are you");
    }
}
