//! Counts commands without a usable reply (`http.md` 17.4).

use metrics::{Counter, counter};

use super::RedisError;

/// Handles of `flag_request_redis_error`, one a kind of error.
#[derive(Debug)]
pub(super) struct RedisMetrics {
    unavailable: Counter,
    timeout: Counter,
    denied: Counter,
    reply: Counter,
    protocol: Counter,
}

impl Default for RedisMetrics {
    fn default() -> Self {
        let errors = |kind: &'static str| counter!("flag_request_redis_error", "error" => kind);
        Self {
            unavailable: errors("unavailable"),
            timeout: errors("timeout"),
            denied: errors("denied"),
            reply: errors("reply"),
            protocol: errors("protocol"),
        }
    }
}

impl RedisMetrics {
    pub(super) fn failed(&self, error: &RedisError) {
        let counter = match error {
            RedisError::Unavailable(_) => &self.unavailable,
            RedisError::Timeout => &self.timeout,
            RedisError::Denied(_) => &self.denied,
            RedisError::Reply(_) => &self.reply,
            RedisError::Protocol(_) => &self.protocol,
        };
        counter.increment(1);
    }
}
