//! The one table from error to status, content type and body (`http.md` 12).
//!
//! Bodies that never vary are statics. Nothing else in the crate names a status.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::StatusCode;

use crate::wire::DecodeError;
use crate::wire::query::QueryError;

/// `Content-Type` of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// No header, for answers without a body.
    None,
    /// `application/json`.
    Json,
    /// `text/plain; charset=utf-8`.
    Text,
    /// The text form of metrics.
    Metrics,
}

/// An answer before the headers that every answer has are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Form of the body.
    pub content: Content,
    /// Value of the `Allow` header.
    pub allow: Option<&'static str>,
    /// Body.
    pub body: Bytes,
}

impl Reply {
    /// 200 with a JSON body.
    #[must_use]
    pub fn json(body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            content: Content::Json,
            allow: None,
            body,
        }
    }

    /// Plain text.
    #[must_use]
    pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content: Content::Text,
            allow: None,
            body: body.into(),
        }
    }

    /// 404 without a body (`http.md` 1).
    #[must_use]
    pub fn not_found() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            content: Content::None,
            allow: None,
            body: Bytes::new(),
        }
    }

    /// 405 without a body; `allow` is part of the wire contract to the byte (`http.md` 2.2).
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            content: Content::None,
            allow: Some(allow),
            body: Bytes::new(),
        }
    }
}

/// Why a request is refused or fails as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpError {
    /// The query string of a flag route.
    Query(QueryError),
    /// Definitions: this parameter is given more than once.
    RepeatedParameter(&'static str),
    /// Definitions: this parameter is missing.
    MissingParameter(&'static str),
    /// More than 2 MiB on the wire.
    BodyTooLarge,
    /// The body broke off, its chunks are malformed, or it came too slowly.
    BodyBroken,
    /// The body cannot be decoded, or is too large once it is.
    Decode(DecodeError),
    /// No project token.
    MissingToken,
    /// A token of no project.
    UnknownToken,
    /// No distinct id.
    MissingDistinctId,
    /// The definitions limiter refuses.
    RateLimited,
    /// The limiter of client addresses refuses.
    IpRateLimited,
    /// The limiter of project tokens refuses.
    TokenRateLimited,
    /// Definitions over the billing limit.
    DefinitionsOverQuota,
    /// Definitions without a bearer credential.
    NoCredential,
    /// Definitions with a secret token that is not the team's.
    SecretTokenInvalid,
    /// Definitions with a personal key that is not valid here.
    PersonalKeyInvalid,
    /// Definitions with a personal key that lacks the scope.
    PersonalKeyLacksScope,
    /// Cookieless mode lacks this input.
    MissingProperty(&'static str),
    /// Cookieless mode: the origin is no URL, for this reason.
    InvalidUrl(&'static str),
    /// Cookieless mode: the time is none of the calendar.
    InvalidTimestamp,
    /// Cookieless mode: the time is of a day that is not served any more, or not yet.
    SentAtOutOfWindow,
    /// Cookieless mode: no salt to be had.
    CookielessUnavailable,
    /// A definitions store cannot be reached.
    DependencyUnavailable,
    /// Nothing is cached and nothing else may be asked.
    CacheMissing,
    /// A database cannot be reached.
    DatabaseUnavailable,
    /// A database answered too late.
    DatabaseTimeout,
    /// A database failed.
    DatabaseError,
    /// Cached definitions cannot be read.
    CacheUnreadable,
    /// Stored data cannot be read.
    DataUnreadable,
    /// No turn for parallel evaluation within this many milliseconds.
    EvaluationBusy {
        /// How long the request waited.
        waited_ms: u64,
    },
    /// The request's deadline passed.
    TimedOut,
    /// No other row says more; nothing can be answered now.
    ServiceUnavailable,
    /// No other row says more; a defect of ours.
    Internal,
}

const fn text(body: &'static str) -> (Content, Cow<'static, str>) {
    (Content::Text, Cow::Borrowed(body))
}

macro_rules! json_error {
    ($type:literal, $code:literal, $detail:literal) => {
        (
            Content::Json,
            Cow::Borrowed(concat!(
                r#"{"type":""#,
                $type,
                r#"","code":""#,
                $code,
                r#"","detail":""#,
                $detail,
                r#"","attr":null}"#
            )),
        )
    };
}

impl HttpError {
    /// The error as an answer.
    #[must_use]
    pub fn reply(self) -> Reply {
        let status = self.status();
        let (content, body) = self.into_body();
        let body = match body {
            Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        };
        Reply {
            status,
            content,
            allow: None,
            body,
        }
    }

    /// Status of the answer (`http.md` 12).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Query(_)
            | Self::RepeatedParameter(_)
            | Self::MissingParameter(_)
            | Self::BodyBroken
            | Self::MissingDistinctId
            | Self::MissingProperty(_)
            | Self::InvalidUrl(_)
            | Self::InvalidTimestamp
            | Self::SentAtOutOfWindow => StatusCode::BAD_REQUEST,
            Self::Decode(DecodeError::TooLarge) | Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Decode(_) => StatusCode::BAD_REQUEST,
            Self::MissingToken
            | Self::UnknownToken
            | Self::NoCredential
            | Self::SecretTokenInvalid
            | Self::PersonalKeyInvalid => StatusCode::UNAUTHORIZED,
            Self::PersonalKeyLacksScope => StatusCode::FORBIDDEN,
            Self::RateLimited | Self::IpRateLimited | Self::TokenRateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::DefinitionsOverQuota => StatusCode::PAYMENT_REQUIRED,
            Self::DependencyUnavailable
            | Self::CacheMissing
            | Self::DatabaseUnavailable
            | Self::DatabaseTimeout
            | Self::CacheUnreadable
            | Self::TimedOut
            | Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::EvaluationBusy { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::DatabaseError | Self::DataUnreadable | Self::CookielessUnavailable | Self::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The error code of logs and metrics (`http.md` 12.5).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Query(_) | Self::RepeatedParameter(_) | Self::MissingParameter(_) | Self::BodyBroken => {
                "bad_request"
            }
            Self::BodyTooLarge | Self::Decode(DecodeError::TooLarge) => "payload_too_large",
            Self::Decode(_) => "request_decoding_error",
            Self::MissingToken => "missing_token",
            Self::UnknownToken => "invalid_token",
            Self::MissingDistinctId => "missing_distinct_id",
            Self::RateLimited => "rate_limited",
            Self::IpRateLimited => "ip_rate_limited",
            Self::TokenRateLimited => "token_rate_limited",
            Self::DefinitionsOverQuota => "billing_limit",
            Self::NoCredential => "no_authentication",
            Self::SecretTokenInvalid => "secret_api_token_invalid",
            Self::PersonalKeyInvalid => "personal_api_key_invalid",
            Self::PersonalKeyLacksScope => "insufficient_scopes",
            Self::MissingProperty(_)
            | Self::InvalidUrl(_)
            | Self::InvalidTimestamp
            | Self::SentAtOutOfWindow
            | Self::CookielessUnavailable => "cookieless_error",
            Self::DependencyUnavailable => "redis_unavailable",
            Self::CacheMissing => "cache_miss",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::DatabaseTimeout | Self::TimedOut => "timeout",
            Self::DatabaseError => "database_error",
            Self::CacheUnreadable => "redis_parsing_error",
            Self::DataUnreadable => "data_parsing_error",
            Self::EvaluationBusy { .. } => "rayon_semaphore_timeout",
            Self::ServiceUnavailable => "service_unavailable",
            Self::Internal => "internal_error",
        }
    }

    fn into_body(self) -> (Content, Cow<'static, str>) {
        match self {
            Self::Query(error) => owned(error.to_string()),
            Self::RepeatedParameter(name) => owned(format!(
                "Failed to deserialize query string: duplicate field `{name}`"
            )),
            Self::MissingParameter(name) => owned(format!(
                "Failed to deserialize query string: missing field `{name}`"
            )),
            Self::Decode(error) => owned(error.to_string()),
            Self::BodyTooLarge => text("Failed to buffer the request body: length limit exceeded"),
            Self::BodyBroken => {
                text("Failed to buffer the request body: error reading a body from connection")
            }
            Self::MissingToken => json_error!(
                "authentication_error",
                "not_authenticated",
                "No API token provided. Please include a valid API token in your request."
            ),
            Self::UnknownToken => json_error!(
                "authentication_error",
                "authentication_failed",
                "The provided API key is invalid or has expired. Please check your API key and try again."
            ),
            Self::MissingDistinctId => {
                text("The distinct_id field is missing from the request. Please include a valid identifier.")
            }
            Self::RateLimited | Self::IpRateLimited | Self::TokenRateLimited => {
                json_error!("validation_error", "rate_limit_exceeded", "Rate limit exceeded")
            }
            Self::DefinitionsOverQuota => json_error!(
                "quota_limited",
                "payment_required",
                "You have exceeded your feature flag request quota"
            ),
            Self::NoCredential => json_error!(
                "authentication_error",
                "not_authenticated",
                "Authentication credentials were not provided."
            ),
            Self::SecretTokenInvalid => json_error!(
                "authentication_error",
                "authentication_failed",
                "Secret API token is invalid."
            ),
            Self::PersonalKeyInvalid => json_error!(
                "authentication_error",
                "authentication_failed",
                "Personal API key is invalid."
            ),
            Self::PersonalKeyLacksScope => json_error!(
                "authentication_error",
                "permission_denied",
                "Personal API key lacks required scopes (feature_flag:read or feature_flag:write)."
            ),
            Self::MissingProperty(name) => owned(format!("Missing required property: {name}")),
            Self::InvalidUrl(reason) => owned(format!("Invalid URL: {reason}")),
            Self::InvalidTimestamp => text("Invalid timestamp: not a time of the calendar"),
            Self::SentAtOutOfWindow => {
                text("Invalid sent_at: timestamp resolves to a date outside the accepted ingestion window")
            }
            Self::CookielessUnavailable => text("An internal error occurred while processing your request."),
            Self::EvaluationBusy { waited_ms } => owned(format!(
                "Evaluation pool busy, timed out after {waited_ms}ms. Please retry."
            )),
            other => (Content::Text, Cow::Borrowed(other.server_error_text())),
        }
    }

    /// The rows of `http.md` 12.3 whose text never varies.
    fn server_error_text(&self) -> &'static str {
        match self {
            Self::DependencyUnavailable => {
                "A service dependency is temporarily unavailable. This is likely a temporary issue. Please try \
                 again later."
            }
            Self::CacheMissing => {
                "Required data not found in cache. This is likely a temporary issue. Please try again later."
            }
            Self::DatabaseUnavailable => {
                "Our database service is currently unavailable. This is likely a temporary issue. Please try \
                 again later."
            }
            Self::DatabaseTimeout => {
                "The request timed out. This could be due to high load or network issues. Please try again later."
            }
            Self::DatabaseError => {
                "A database error occurred. Please try again later or contact support if the problem persists."
            }
            Self::CacheUnreadable | Self::DataUnreadable => {
                "Failed to parse internal data. This is likely a temporary issue. Please try again later."
            }
            Self::TimedOut => "Request timed out",
            Self::ServiceUnavailable => "Service is currently unavailable. Please try again later.",
            _ => {
                "An internal server error occurred. Please try again later or contact support if the problem \
                 persists."
            }
        }
    }
}

fn owned(body: String) -> (Content, Cow<'static, str>) {
    (Content::Text, Cow::Owned(body))
}

#[cfg(test)]
mod tests {
    use super::{Content, DecodeError, HttpError};

    #[test]
    fn json_errors_have_the_four_keys() {
        for error in [
            HttpError::MissingToken,
            HttpError::UnknownToken,
            HttpError::RateLimited,
            HttpError::IpRateLimited,
            HttpError::TokenRateLimited,
            HttpError::DefinitionsOverQuota,
            HttpError::NoCredential,
            HttpError::SecretTokenInvalid,
            HttpError::PersonalKeyInvalid,
            HttpError::PersonalKeyLacksScope,
        ] {
            let reply = error.reply();
            assert_eq!(reply.content, Content::Json);
            let value: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["attr", "code", "detail", "type"]);
            assert!(value["attr"].is_null());
        }
    }

    #[test]
    fn texts_that_carry_data_are_the_specified_ones() {
        let body = |error: HttpError| String::from_utf8(error.reply().body.to_vec()).unwrap();
        assert_eq!(
            body(HttpError::Decode(DecodeError::InvalidJson)),
            "Failed to decode request: invalid JSON. Please check your request format and try again."
        );
        assert_eq!(
            body(HttpError::Decode(DecodeError::TooLarge)),
            "Decompressed request body exceeded 4194304 bytes (got 4194305). If this is a legitimate workload, \
             contact PostHog support."
        );
        assert_eq!(
            body(HttpError::EvaluationBusy { waited_ms: 250 }),
            "Evaluation pool busy, timed out after 250ms. Please retry."
        );
        assert_eq!(
            body(HttpError::Internal),
            "An internal server error occurred. Please try again later or contact support if the problem persists."
        );
    }
}
