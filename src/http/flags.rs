//! `POST /flags` and `POST /decide`.

use bytes::Bytes;

use super::{AppState, FlagsCall, HttpError};

/// Answers one evaluation request.
///
/// # Errors
/// Always: evaluation is not connected to the server yet.
pub async fn post(_state: &AppState, _call: FlagsCall<'_>, _body: Bytes) -> Result<Bytes, HttpError> {
    Err(HttpError::ServiceUnavailable)
}
