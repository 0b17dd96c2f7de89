//! Which project a request asks for (`http.md` 7).

use hyper::header::AUTHORIZATION;

use super::text;
use crate::http::admission::Admission;
use crate::http::{FlagsCall, HttpError};

/// Longer tokens are refused without a lookup (`http.md` 7.2).
const TOKEN_BYTES_MAX: usize = 200;

/// The project token, admitted by its limiter.
pub(super) fn token<'t>(
    body: Option<&'t str>,
    call: &FlagsCall<'t>,
    admission: &mut Admission<'_>,
) -> Result<&'t str, HttpError> {
    let token = sent_token(body, call);
    admission.token(call, token)?;
    let token = token.ok_or(HttpError::MissingToken)?;
    if token.len() > TOKEN_BYTES_MAX || token.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(HttpError::UnknownToken);
    }
    Ok(token)
}

/// The project token as sent: body, then query, then headers (`http.md` 7.1).
fn sent_token<'t>(body: Option<&'t str>, call: &FlagsCall<'t>) -> Option<&'t str> {
    let query = || call.query.token.as_deref();
    let key_header = || call.headers.get("x-posthog-project-api-key")?.to_str().ok();
    let bearer = || {
        text(call.headers, &AUTHORIZATION)?
            .strip_prefix("Bearer ")
            .filter(|key| key.starts_with("phc_"))
    };
    let is_some = |token: &&str| !token.is_empty();
    body.filter(is_some)
        .or_else(|| query().filter(is_some))
        .or_else(|| key_header().filter(is_some))
        .or_else(|| bearer().filter(is_some))
}
