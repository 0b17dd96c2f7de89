//! What a request for definitions says: token, credential, ETag (`http.md` 3.3, 13.2, 13.3, 13.5).

use std::borrow::Cow;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, IF_NONE_MATCH};
use hyper::http::request::Parts;

use super::super::respond::HttpError;
use crate::auth::Credential;
use crate::wire::percent;

/// Longer tokens are refused without a lookup (`http.md` 7.2).
const TOKEN_BYTES_MAX: usize = 200;

static PROJECT_KEY: HeaderName = HeaderName::from_static("x-posthog-project-api-key");

/// A request whose query string is sound.
pub(super) struct DefinitionsCall<'r> {
    pub headers: &'r HeaderMap,
    /// `None`: the credential is a secret, and names the team.
    pub token: Option<Cow<'r, str>>,
    pub credential: Option<Credential<'r>>,
}

impl<'r> DefinitionsCall<'r> {
    /// 400 for a query string without a token that is needed, or with two, whatever the method (`http.md` 2.2).
    pub fn read(parts: &'r Parts) -> Result<Self, HttpError> {
        let headers = &parts.headers;
        let credential = text(headers, &AUTHORIZATION).and_then(Credential::read);
        let token = match query_token(parts.uri.query())? {
            Some(token) => Some(token),
            None => text(headers, &PROJECT_KEY)
                .filter(|token| !token.is_empty())
                .map(Cow::Borrowed),
        };
        let names_team = credential.as_ref().is_some_and(Credential::is_secret);
        if token.is_none() && !names_team {
            return Err(HttpError::MissingParameter("token"));
        }
        Ok(Self {
            headers,
            token,
            credential,
        })
    }

    /// Whether the answer may be "not modified"; such requests have a rate limit of their own.
    pub fn is_conditional(&self) -> bool {
        self.headers.contains_key(IF_NONE_MATCH)
    }

    /// The one value; lines beyond the first would make it a list, which matches nothing.
    pub fn if_none_match(&self) -> Option<&'r [u8]> {
        let mut lines = self.headers.get_all(IF_NONE_MATCH).iter();
        let line = lines.next()?;
        lines.next().is_none().then_some(line.as_bytes())
    }

    /// Whether no team can have the token.
    pub fn has_impossible_token(&self) -> bool {
        self.token.as_deref().is_some_and(|token| {
            token.is_empty()
                || token.len() > TOKEN_BYTES_MAX
                || token.bytes().any(|byte| byte.is_ascii_control())
        })
    }
}

fn query_token(query: Option<&str>) -> Result<Option<Cow<'_, str>>, HttpError> {
    let pairs = query.unwrap_or_default().split('&');
    let mut tokens = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| percent::decode_query(name) == "token")
        .map(|(_, value)| percent::decode_query(value));
    let token = tokens.next();
    match tokens.next() {
        Some(_) => Err(HttpError::RepeatedParameter("token")),
        None => Ok(token),
    }
}

/// Visible ASCII, or absent (`http.md` 4.1).
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
