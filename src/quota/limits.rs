//! Which projects are over a limit, as of the last read (`storage.md` 6.5). Checking asks nobody.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// What can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Evaluations and definitions of feature flags.
    FeatureFlags,
    /// Session recordings. Read only with `FLAGS_SESSION_REPLAY_QUOTA_CHECK`; otherwise nobody is limited.
    Recordings,
}

impl Resource {
    /// The sorted set that it is kept in: members are project tokens, scores the Unix seconds up to which the limit holds.
    #[must_use]
    pub fn redis_key(self) -> &'static str {
        match self {
            Self::FeatureFlags => "@posthog/quota-limits/feature_flag_requests",
            Self::Recordings => "@posthog/quota-limits/recordings",
        }
    }

    /// Its name in answers and project documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FeatureFlags => "feature_flags",
            Self::Recordings => "recordings",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Project tokens.
pub type TokenSet = HashSet<Box<str>, ahash::RandomState>;

/// The tokens that are over a limit, by resource. Empty until the first read: whoever is not known to be limited is not.
#[derive(Debug, Default)]
pub struct Limits {
    feature_flags: ArcSwap<TokenSet>,
    recordings: ArcSwap<TokenSet>,
}

impl Limits {
    /// Whether a project token was over a limit at the last read. No lock, no allocation; one hash where anybody is limited.
    #[must_use]
    pub fn is_limited(&self, resource: Resource, token: &str) -> bool {
        self.set(resource).load().contains(token)
    }

    /// Takes over what was read. The same tokens again change nothing.
    pub fn replace(&self, resource: Resource, tokens: TokenSet) {
        let set = self.set(resource);
        if **set.load() != tokens {
            set.store(Arc::new(tokens));
        }
    }

    fn set(&self, resource: Resource) -> &ArcSwap<TokenSet> {
        match resource {
            Resource::FeatureFlags => &self.feature_flags,
            Resource::Recordings => &self.recordings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_limited_before_the_first_read() {
        let limits = Limits::default();
        assert!(!limits.is_limited(Resource::FeatureFlags, "phc_a"));
        limits.replace(Resource::FeatureFlags, TokenSet::from_iter(["phc_a".into()]));
        assert!(limits.is_limited(Resource::FeatureFlags, "phc_a"));
        assert!(!limits.is_limited(Resource::FeatureFlags, "phc_b"));
        assert!(!limits.is_limited(Resource::Recordings, "phc_a"));
        limits.replace(Resource::FeatureFlags, TokenSet::default());
        assert!(!limits.is_limited(Resource::FeatureFlags, "phc_a"));
    }
}
