//! Quota limits in Redis (`storage.md` 6.5): read for requests; written for imports alone, production's come from Django.

use std::sync::Arc;
use std::time::Duration;

use redis::{cmd, pipe};

use super::{Client, RedisError};
use crate::hypercache::{BoxFuture, TierError};
use crate::quota::{LimitSource, Limited, Resource, TokenSet};

/// Resources that this service looks at.
const RESOURCES: [Resource; 2] = [Resource::FeatureFlags, Resource::Recordings];

/// For how long an imported limit holds: about a billing period.
const PERIOD: Duration = Duration::from_secs(31 * 86_400);

/// Members a command: a reply of half a megabyte comes within the limit for replies, and keeps neither side busy for long.
const PAGE: usize = 10_000;

/// Members of the page before that a page begins with, so that as many can be removed meanwhile without one being missed.
const OVERLAP: usize = 100;

/// Longer members are no project token, and match no request.
const TOKEN_BYTES_MAX: usize = 200;

/// Limits on the shared Redis.
#[derive(Debug)]
pub struct RedisLimits {
    client: Arc<Client>,
}

impl RedisLimits {
    /// On the shared client.
    #[must_use]
    pub fn new(client: Arc<Client>) -> Self {
        Self { client }
    }

    async fn read(
        &self,
        resource: Resource,
        now_seconds: u64,
        tokens_max: usize,
    ) -> Result<Limited, RedisError> {
        // The first read comes with the start, before there is a connection.
        self.client.reader().first_attempt().await;
        let mut tokens = TokenSet::default();
        let mut offset = 0;
        loop {
            let mut range = cmd("ZRANGEBYSCORE");
            range
                .arg(resource.redis_key())
                .arg(now_seconds)
                .arg("+Inf")
                .arg("LIMIT")
                .arg(offset)
                .arg(PAGE);
            let page: Vec<Vec<u8>> = self.client.read(&range).await?;
            let is_last = page.len() < PAGE;
            for token in page {
                match String::from_utf8(token) {
                    Ok(token) if token.len() <= TOKEN_BYTES_MAX => {
                        if tokens.len() == tokens_max && !tokens.contains(token.as_str()) {
                            return Ok(Limited {
                                tokens,
                                truncated: true,
                            });
                        }
                        tokens.insert(token.into_boxed_str());
                    }
                    // No request has such a token.
                    _ => {}
                }
            }
            if is_last {
                return Ok(Limited {
                    tokens,
                    truncated: false,
                });
            }
            offset += PAGE - OVERLAP;
            if offset > tokens_max.saturating_mul(2) {
                // Members that are no tokens must not keep us here either.
                return Ok(Limited {
                    tokens,
                    truncated: true,
                });
            }
        }
    }
}

impl LimitSource for RedisLimits {
    fn limited(
        &self,
        resource: Resource,
        now_seconds: u64,
        tokens_max: usize,
    ) -> BoxFuture<'_, Result<Limited, TierError>> {
        Box::pin(async move { Ok(self.read(resource, now_seconds, tokens_max).await?) })
    }
}

/// Makes exactly these resources limited for a token. `now_seconds`: Unix time. The resources that have no place in Redis.
///
/// # Errors
/// When the primary gave no reply.
pub async fn set_quota_limits(
    client: &Client,
    token: &str,
    limited: &[String],
    now_seconds: u64,
) -> Result<Vec<String>, RedisError> {
    let mut pipeline = pipe();
    for resource in RESOURCES {
        let key = resource.redis_key();
        if limited.iter().any(|limited| limited == resource.name()) {
            pipeline.zadd(key, token, now_seconds + PERIOD.as_secs()).ignore();
        } else {
            pipeline.zrem(key, token).ignore();
        }
    }
    client.transaction::<()>(&mut pipeline).await?;
    let known = |name: &&String| RESOURCES.iter().any(|resource| resource.name() == *name);
    Ok(limited.iter().filter(|name| !known(name)).cloned().collect())
}
