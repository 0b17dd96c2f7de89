//! Tokens that no team has, remembered briefly so that a flood of them cannot reach the store.

use std::time::{Duration, Instant};

/// A bounded set of unknown tokens with a time to live.
#[derive(Debug)]
pub struct NegativeCache {
    tokens: scc::HashIndex<Box<str>, Instant, ahash::RandomState>,
    capacity: usize,
    time_to_live: Duration,
}

impl NegativeCache {
    /// `capacity` in tokens; 0 remembers none.
    #[must_use]
    pub fn new(capacity: usize, time_to_live: Duration) -> Self {
        Self {
            tokens: scc::HashIndex::with_hasher(ahash::RandomState::new()),
            capacity,
            time_to_live,
        }
    }

    /// Whether the token was looked up without success less than the time to live before `now`.
    #[must_use]
    pub fn contains(&self, token: &str, now: Instant) -> bool {
        self.tokens
            .peek_with(token, |_, since| {
                now.saturating_duration_since(*since) < self.time_to_live
            })
            .unwrap_or(false)
    }

    /// Remembers a token. When full, forgets what has expired, and everything if nothing has.
    pub fn insert(&self, token: &str, now: Instant) {
        if self.capacity == 0 {
            return;
        }
        if self.tokens.len() >= self.capacity {
            self.tokens
                .retain_sync(|_, since| now.saturating_duration_since(*since) < self.time_to_live);
            if self.tokens.len() >= self.capacity {
                self.tokens.clear_sync();
            }
        }
        self.tokens.remove_sync(token);
        let _ = self.tokens.insert_sync(token.into(), now);
    }

    /// Tokens that are remembered, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Forgets all tokens.
    pub fn clear(&self) {
        self.tokens.clear_sync();
    }

    /// Forgets a token.
    pub fn remove(&self, token: &str) {
        self.tokens.remove_sync(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_for_its_time_and_stays_bounded() {
        let cache = NegativeCache::new(100, Duration::from_secs(30));
        let start = Instant::now();
        cache.insert("a", start);
        assert!(cache.contains("a", start + Duration::from_secs(29)));
        assert!(!cache.contains("a", start + Duration::from_secs(30)));
        for token in 0..10_000 {
            cache.insert(&token.to_string(), start);
            assert!(cache.tokens.len() <= 100);
        }
        cache.insert("b", start);
        cache.remove("b");
        assert!(!cache.contains("b", start));
    }
}
