//! The SDK's failures in the words of the tier.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStreamError;

use super::OBJECT_BYTES_MAX;
use crate::hypercache::TierError;

/// A failed attempt.
pub(super) struct Refusal {
    /// For the caller.
    pub(super) error: TierError,
    /// The store answered, so it works: nothing for the breaker.
    pub(super) answered: bool,
    /// A second attempt may find it otherwise.
    pub(super) may_pass: bool,
}

impl Refusal {
    pub(super) fn too_large() -> Self {
        Self {
            error: TierError::Failed(format!("object above {OBJECT_BYTES_MAX} bytes")),
            answered: true,
            may_pass: false,
        }
    }

    pub(super) fn broken_body(broken: &ByteStreamError) -> Self {
        Self {
            error: TierError::Unavailable(chain(broken)),
            answered: false,
            may_pass: true,
        }
    }
}

/// An error and its causes in one line, without the SDK's inner structures.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Sorts a failure of any operation.
pub(super) fn read<E>(failure: &SdkError<E, HttpResponse>) -> Refusal
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let Some(response) = failure.raw_response() {
        return answered(response.status().as_u16(), failure.code());
    }
    let detail = || chain(failure);
    let error = match failure {
        SdkError::TimeoutError(_) => TierError::Timeout,
        SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => TierError::Timeout,
        // Neither the network's nor HTTP's: nothing could be sent, for want of credentials to sign it with.
        SdkError::DispatchFailure(dispatch)
            if dispatch
                .as_connector_error()
                .is_some_and(|connector| connector.is_other() && connector.as_other().is_none()) =>
        {
            TierError::Denied(detail())
        }
        SdkError::ConstructionFailure(_) => TierError::Failed(detail()),
        _ => TierError::Unavailable(detail()),
    };
    let may_pass = matches!(error, TierError::Unavailable(_));
    Refusal {
        error,
        answered: false,
        may_pass,
    }
}

/// Whether the store says that there is no such object; a missing bucket is another matter.
pub(super) fn is_absent_key<E: ProvideErrorMetadata>(failure: &SdkError<E, HttpResponse>) -> bool {
    failure.code() == Some("NoSuchKey")
}

fn answered(status: u16, code: Option<&str>) -> Refusal {
    let detail = format!("status {status} {}", code.unwrap_or("without a code"));
    let (error, works) = match status {
        401 | 403 => (TierError::Denied(detail), true),
        // Overload and failures of the store itself; 429 and 503 are its ways to ask for fewer calls.
        429 | 500.. => (TierError::Unavailable(detail), false),
        _ => (TierError::Failed(detail), true),
    };
    Refusal {
        error,
        answered: works,
        may_pass: !works,
    }
}

/// What a span says of a failure.
pub(super) fn code(error: &TierError) -> &'static str {
    match error {
        TierError::Unavailable(_) => "unavailable",
        TierError::Timeout => "timeout",
        TierError::Denied(_) => "denied",
        TierError::Failed(_) => "failed",
    }
}
