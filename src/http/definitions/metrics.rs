//! Counters of the endpoint (`http.md` 17.6). Handles are made once, those of teams when a team is first seen.

use metrics::{Counter, counter};

use crate::auth::Principal;
use crate::config::TeamSet;
use crate::limit::Verdict;
use crate::snapshot::feed::{Payload, Source};
use crate::snapshot::{LoadError, LookupError};

/// Teams with a counter of their own; further ones are counted as `unknown`.
const TEAMS_MAX: usize = 10_000;

/// Label `mode` of requests over the limit: refused, and only counted.
const MODES: [&str; 2] = ["enforced", "log_only"];

fn limited(team: String, mode: &'static str) -> Counter {
    counter!("flags_flag_definitions_rate_limited_total", "key" => team, "mode" => mode)
}

/// See the module.
pub(super) struct Metrics {
    tracked: TeamSet,
    requests: scc::HashIndex<i32, Counter, ahash::RandomState>,
    requests_of_others: Counter,
    /// Of teams that metrics do not name: refused, and only counted.
    limited_others: [Counter; 2],
    secrets: Counter,
    personal_keys: Counter,
    from_redis: Counter,
    from_s3: Counter,
    /// Nothing cached in any tier.
    pub missing: Counter,
    redis_error: Counter,
    s3_error: Counter,
    unreadable: Counter,
    timeout: Counter,
    etag_hit: Counter,
    etag_miss: Counter,
    etag_none: Counter,
    etag_absent: Counter,
}

impl Metrics {
    pub fn new(tracked: TeamSet) -> Self {
        let miss = |reason| counter!("flags_flag_definitions_cache_miss_total", "reason" => reason);
        let hit = |source| counter!("flags_flag_definitions_cache_hit_total", "source" => source);
        let etag = |result| counter!("flags_flag_definitions_etag_total", "result" => result);
        let auth = |method| counter!("flags_flag_definitions_auth_total", "method" => method);
        Self {
            tracked,
            requests: scc::HashIndex::with_hasher(ahash::RandomState::new()),
            requests_of_others: counter!("flags_flag_definitions_requests_total", "key" => "unknown"),
            limited_others: MODES.map(|mode| limited("unknown".to_owned(), mode)),
            secrets: auth("secret_api_key"),
            personal_keys: auth("personal_api_key"),
            from_redis: hit("Redis"),
            from_s3: hit("S3"),
            missing: miss("cache_miss"),
            redis_error: miss("redis_error"),
            s3_error: miss("s3_error"),
            unreadable: miss("json_parse_error"),
            timeout: miss("timeout"),
            etag_hit: etag("hit"),
            etag_miss: etag("miss"),
            etag_none: etag("none"),
            etag_absent: etag("redis_missing"),
        }
    }

    /// A credential opened a team.
    pub fn admitted(&self, principal: &Principal, team_id: i32) {
        match principal {
            Principal::TeamSecret { .. } | Principal::ProjectSecret(_) => self.secrets.increment(1),
            Principal::Personal(_) => self.personal_keys.increment(1),
        }
        if self
            .requests
            .peek_with(&team_id, |_, counter| counter.increment(1))
            .is_none()
        {
            self.first_of(team_id);
        }
    }

    #[cold]
    fn first_of(&self, team_id: i32) {
        if !self.tracked.contains(team_id) || self.requests.len() >= TEAMS_MAX {
            return self.requests_of_others.increment(1);
        }
        let counter = counter!("flags_flag_definitions_requests_total", "key" => team_id.to_string());
        counter.increment(1);
        // Another request may have been faster; it counts the same.
        let _ = self.requests.insert_sync(team_id, counter);
    }

    /// What the limiter said of a request.
    pub fn limited(&self, team_id: i32, verdict: Verdict) {
        match verdict {
            Verdict::Allowed | Verdict::Warned => {}
            Verdict::Refused => self.over_limit(team_id, 0),
            Verdict::Tolerated => self.over_limit(team_id, 1),
        }
    }

    #[cold]
    fn over_limit(&self, team_id: i32, mode: usize) {
        // A team that has a counter of its requests; teams over their limit are few, so theirs is looked up.
        if self.requests.contains(&team_id) {
            limited(team_id.to_string(), MODES[mode]).increment(1);
        } else {
            self.limited_others[mode].increment(1);
        }
    }

    /// A payload was there, and was compared with what the client has.
    pub fn compared(&self, is_conditional: bool, is_known: bool, payload: &Payload) {
        match payload.source {
            Source::Redis => self.from_redis.increment(1),
            Source::S3 => self.from_s3.increment(1),
        }
        match (is_conditional, is_known) {
            (_, true) => self.etag_hit.increment(1),
            (true, false) => self.etag_miss.increment(1),
            (false, false) => self.etag_none.increment(1),
        }
        if payload.etag.is_none() {
            self.etag_absent.increment(1);
        }
    }

    /// No payload could be had.
    pub fn failed(&self, error: &LookupError) {
        match error {
            LookupError::UnknownToken | LookupError::Busy => {}
            LookupError::Load(LoadError::NotCached) => self.missing.increment(1),
            LookupError::Load(LoadError::Timeout) => self.timeout.increment(1),
            LookupError::Load(LoadError::Unavailable(_)) => self.redis_error.increment(1),
            LookupError::Load(LoadError::Failed(_)) => self.s3_error.increment(1),
            LookupError::Load(LoadError::CacheUnreadable(_) | LoadError::Corrupt(_)) => {
                self.unreadable.increment(1);
            }
        }
    }
}
