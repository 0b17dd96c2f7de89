//! `GET /flags/definitions`: what SDKs evaluate with themselves (`http.md` 13).
//!
//! The order of the checks is that of 13.1. With everything held, an answer costs no store, no lock and no copy of the payload.

mod metrics;
mod request;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::time::timeout;

use super::AppState;
use super::flags::lookup_error;
use super::respond::{Content, HttpError, Reply};
use super::user_agent::UserAgent;
use crate::auth::{AuthError, AuthSettings, AuthStores, Authenticator, DatabaseError, KnownCredential, Team};
use crate::config::Config;
use crate::limit::Verdict;
use crate::quota::{RequestType, Resource};
use crate::snapshot::feed::{DefinitionsSource, ETag, Feed, FeedTeam, Feeds, Payload, RebuildQueue};
use crate::snapshot::{Follower, LoadError, LookupError, SnapshotSettings};
use metrics::Metrics;
use request::DefinitionsCall;

const ALLOW: &str = "GET, OPTIONS, HEAD";

/// Sent with every answer that has an ETag (`http.md` 13.5).
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, must-revalidate");

/// The stores behind the endpoint, as ports.
pub struct DefinitionsStores {
    /// Teams and their definitions.
    pub source: Arc<dyn DefinitionsSource>,
    /// Where Django is asked to build what is missing; `None`: nowhere.
    pub rebuilds: Option<Arc<dyn RebuildQueue>>,
    /// Keys and secrets.
    pub auth: AuthStores,
}

/// What requests for definitions share.
pub struct Definitions {
    /// Teams and their definitions, held.
    pub feeds: Feeds,
    /// Whose credentials are.
    pub auth: Arc<Authenticator>,
    metrics: Metrics,
}

impl Definitions {
    /// Nothing held, nobody known. `held`: the bounds of snapshots, which hold here too, but for the capacity.
    #[must_use]
    pub fn new(config: &Config, stores: DefinitionsStores, held: SnapshotSettings) -> Self {
        let settings = &config.definitions;
        let held = SnapshotSettings {
            capacity_bytes: settings.feed_capacity_bytes,
            ..held
        };
        let rebuilds = stores.rebuilds.filter(|_| settings.self_heal);
        let auth = AuthSettings {
            ttl: settings.auth_token_ttl,
            lookups_max: settings.auth_lookups_max,
            legacy_hashes: settings.legacy_key_hashes,
        };
        Self {
            feeds: Feeds::new(stores.source, rebuilds, held),
            auth: Arc::new(Authenticator::new(stores.auth, auth)),
            metrics: Metrics::new(config.telemetry.tracked_teams.clone()),
        }
    }

    /// Those who must hear of changes.
    pub(super) fn followers(&self) -> Vec<Arc<dyn Follower>> {
        vec![
            Arc::clone(&self.feeds.teams) as _,
            Arc::clone(&self.feeds.payloads) as _,
        ]
    }
}

/// Answers a request. `etag` becomes the value of the header of the same name, which the reply has no place for.
pub(super) async fn answer(
    state: &AppState,
    parts: &Parts,
    etag: &mut Option<HeaderValue>,
) -> Result<Reply, HttpError> {
    let call = DefinitionsCall::read(parts)?;
    match parts.method {
        Method::GET => {}
        Method::HEAD => return Ok(Reply::json(Bytes::new())),
        _ => return Ok(Reply::method_not_allowed(ALLOW)),
    }
    let feed = timeout(state.request_timeout, admitted(state, &call)).await;
    let feed = feed.unwrap_or(Err(HttpError::TimedOut))?;
    let metrics = &state.definitions.metrics;
    let Some(payload) = &feed.payload else {
        metrics.missing.increment(1);
        return Err(HttpError::CacheMissing);
    };
    *etag = payload.etag.as_ref().and_then(header);
    let is_known = call
        .if_none_match()
        .zip(payload.etag.as_ref())
        .is_some_and(|(given, etag)| etag.matches(given));
    metrics.compared(call.is_conditional(), is_known, payload);
    if is_known {
        return Ok(Reply {
            status: StatusCode::NOT_MODIFIED,
            content: Content::None,
            allow: None,
            body: Bytes::new(),
        });
    }
    count(state, &call, &feed, payload);
    Ok(Reply::json(payload.body.clone()))
}

/// Adds what goes with an ETag.
#[cold]
pub(super) fn validate<B>(response: &mut Response<B>, etag: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(CACHE_CONTROL, REVALIDATE);
}

/// The definitions of a request that may have them: team, credential, rate limit, quota, in this order.
async fn admitted(state: &AppState, call: &DefinitionsCall<'_>) -> Result<Arc<Feed>, HttpError> {
    let Definitions { feeds, auth, metrics } = &state.definitions;
    if call.has_impossible_token() {
        return Err(HttpError::UnknownToken);
    }
    let mut known: Option<Arc<KnownCredential>> = None;
    let token = match &call.token {
        Some(token) => Cow::Borrowed(token.as_ref()),
        // Only a secret names its team (`http.md` 13.2).
        None => {
            let credential = call.credential.as_ref().ok_or(HttpError::NoCredential)?;
            let found = auth.identify(credential, None).await.map_err(auth_error)?;
            let token = found
                .principal
                .project_token()
                .ok_or(HttpError::SecretTokenInvalid)?;
            let token = Cow::Owned(token.to_owned());
            known = Some(found);
            token
        }
    };
    let team: Arc<FeedTeam> = feeds.teams.get_or_load(&token).await.map_err(lookup_error)?;
    let known = match known {
        Some(known) => known,
        None => {
            let credential = call.credential.as_ref().ok_or(HttpError::NoCredential)?;
            let team_id = Some(team.identity.id);
            auth.identify(credential, team_id).await.map_err(auth_error)?
        }
    };
    let team_id = team.identity.id;
    let asked = Team {
        id: team_id,
        organization_id: team.identity.organization_id.as_deref(),
    };
    known.principal.opens(asked).map_err(auth_error)?;
    auth.note_use(&known);
    metrics.admitted(&known.principal, team_id);
    let verdict = state.limits.definitions.check(team_id, call.is_conditional());
    metrics.limited(team_id, verdict);
    if verdict == Verdict::Refused {
        return Err(HttpError::RateLimited);
    }
    if state.quota.is_limited(Resource::FeatureFlags, &token) {
        return Err(HttpError::DefinitionsOverQuota);
    }
    let feed = feeds.payloads.get_or_load(&token).await.map_err(|error| {
        metrics.failed(&error);
        feed_error(error)
    })?;
    // A token that has moved to another team: what is held is the old one's until it is loaded again.
    if feed.team_id == team_id {
        Ok(feed)
    } else {
        Err(HttpError::CacheMissing)
    }
}

/// Only a full answer with a flag that is billed counts (`http.md` 13.7).
fn count(state: &AppState, call: &DefinitionsCall<'_>, feed: &Feed, payload: &Payload) {
    if payload.billable {
        let library = UserAgent::of(call.headers).library;
        let now = state.clock.now().seconds;
        state
            .quota
            .record(RequestType::LocalEvaluation, feed.team_id, library, now);
    }
}

fn header(etag: &ETag) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(etag.header().clone()).ok()
}

fn auth_error(error: AuthError) -> HttpError {
    match error {
        AuthError::SecretInvalid => HttpError::SecretTokenInvalid,
        AuthError::PersonalKeyInvalid => HttpError::PersonalKeyInvalid,
        AuthError::LacksScope => HttpError::PersonalKeyLacksScope,
        AuthError::Busy => HttpError::ServiceUnavailable,
        AuthError::Store(DatabaseError::Unavailable(_)) => HttpError::DatabaseUnavailable,
        AuthError::Store(DatabaseError::Timeout) => HttpError::DatabaseTimeout,
        AuthError::Store(DatabaseError::Corrupt(_)) => HttpError::DataUnreadable,
        AuthError::Store(DatabaseError::Failed(_)) => HttpError::DatabaseError,
    }
}

/// There is no fallback: whatever the caches lack is 503 (`storage.md` 2.8).
fn feed_error(error: LookupError) -> HttpError {
    match error {
        LookupError::UnknownToken => HttpError::UnknownToken,
        LookupError::Busy => HttpError::ServiceUnavailable,
        LookupError::Load(LoadError::NotCached) => HttpError::CacheMissing,
        LookupError::Load(LoadError::Timeout) => HttpError::DatabaseTimeout,
        LookupError::Load(LoadError::CacheUnreadable(_) | LoadError::Corrupt(_)) => {
            HttpError::CacheUnreadable
        }
        LookupError::Load(LoadError::Unavailable(_) | LoadError::Failed(_)) => {
            HttpError::DependencyUnavailable
        }
    }
}
