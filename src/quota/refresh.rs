//! Reading the limits now and then (`storage.md` 6.5). Requests never wait for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::limits::Resource;
use super::notice::Notice;
use super::port::LimitSource;
use super::{Quota, Say};

/// Tokens that are kept for a resource, some 20 MB; a table many times larger than all paying customers is an accident,
/// and is not to take the process with it.
const TOKENS_MAX: usize = 250_000;

/// Longest wait after a failed read.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Reads limits and puts them where requests look. What counts is the moment of the read: a limit that ends between two
/// reads holds until the second.
pub(super) struct Refresher {
    quota: Arc<Quota>,
    source: Arc<dyn LimitSource>,
    watched: Vec<Watched>,
    say: Say,
}

struct Watched {
    resource: Resource,
    loaded: metrics::Gauge,
    /// As last said.
    failing: bool,
    truncated: bool,
}

impl Refresher {
    /// For these resources.
    pub fn new(quota: Arc<Quota>, source: Arc<dyn LimitSource>, resources: &[Resource], say: Say) -> Self {
        let watched = resources.iter().map(|resource| Watched {
            resource: *resource,
            loaded: loaded(*resource),
            failing: false,
            truncated: false,
        });
        Self {
            watched: watched.collect(),
            quota,
            source,
            say,
        }
    }

    /// Reads at once and then every `interval`, for ever.
    pub async fn run(mut self, interval: Duration) {
        loop {
            let complete = self.read().await;
            let wait = if complete {
                interval
            } else {
                interval.min(RETRY_MAX)
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Reads all resources. `false`: some could not be read, and keep what they had.
    async fn read(&mut self) -> bool {
        let mut complete = true;
        for watched in &mut self.watched {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let resource = watched.resource;
            match self.source.limited(resource, now.as_secs(), TOKENS_MAX).await {
                Ok(found) => {
                    watched.loaded.set(found.tokens.len() as f64);
                    self.quota.limits.replace(resource, found.tokens);
                    if std::mem::take(&mut watched.failing) {
                        (self.say)(&Notice::LimitsAvailable(resource));
                    }
                    if found.truncated && !watched.truncated {
                        (self.say)(&Notice::LimitsTruncated(resource, TOKENS_MAX));
                    }
                    watched.truncated = found.truncated;
                }
                Err(error) => {
                    complete = false;
                    if !std::mem::replace(&mut watched.failing, true) {
                        (self.say)(&Notice::LimitsUnavailable(resource, error.to_string()));
                    }
                }
            }
        }
        complete
    }
}

fn loaded(resource: Resource) -> metrics::Gauge {
    match resource {
        Resource::FeatureFlags => metrics::gauge!(
            "feature_flags_billing_limits_loaded_tokens", "cache_key" => resource.redis_key()
        ),
        Resource::Recordings => metrics::gauge!(
            "session_replay_billing_limits_loaded_tokens", "cache_key" => resource.redis_key()
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::hypercache::{BoxFuture, TierError};
    use crate::quota::{Limited, TokenSet};

    /// Gives what it is told to; `None` is a failure.
    #[derive(Default)]
    struct Script(Mutex<Vec<Option<Limited>>>);

    impl LimitSource for Script {
        fn limited(
            &self,
            _: Resource,
            _: u64,
            tokens_max: usize,
        ) -> BoxFuture<'_, Result<Limited, TierError>> {
            assert_eq!(tokens_max, TOKENS_MAX);
            let next = self.0.lock().unwrap().remove(0);
            Box::pin(async move { next.ok_or(TierError::Timeout) })
        }
    }

    fn limited(tokens: &[&str], truncated: bool) -> Option<Limited> {
        Some(Limited {
            tokens: tokens.iter().map(|token| Box::from(*token)).collect::<TokenSet>(),
            truncated,
        })
    }

    #[tokio::test]
    async fn a_failed_read_keeps_the_last_set_and_is_said_once() {
        let quota = Arc::new(Quota::new(10, true));
        let said = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&said);
        let script = vec![
            None,
            None,
            limited(&["phc_a"], false),
            None,
            limited(&["phc_b"], true),
            limited(&["phc_b"], true),
            limited(&[], false),
        ];
        let mut refresher = Refresher::new(
            Arc::clone(&quota),
            Arc::new(Script(Mutex::new(script))),
            &[Resource::FeatureFlags],
            Arc::new(move |notice| noted.lock().unwrap().push(notice.clone())),
        );
        let is_limited = |token| quota.is_limited(Resource::FeatureFlags, token);
        assert!(!refresher.read().await && !is_limited("phc_a"));
        assert!(!refresher.read().await);
        assert!(refresher.read().await && is_limited("phc_a"));
        assert!(!refresher.read().await && is_limited("phc_a"));
        assert!(refresher.read().await && !is_limited("phc_a") && is_limited("phc_b"));
        assert!(refresher.read().await && is_limited("phc_b"));
        assert!(refresher.read().await && !is_limited("phc_b"));
        let resource = Resource::FeatureFlags;
        let detail = TierError::Timeout.to_string();
        assert_eq!(
            *said.lock().unwrap(),
            [
                Notice::LimitsUnavailable(resource, detail.clone()),
                Notice::LimitsAvailable(resource),
                Notice::LimitsUnavailable(resource, detail),
                Notice::LimitsAvailable(resource),
                Notice::LimitsTruncated(resource, TOKENS_MAX),
            ]
        );
    }
}
