//! Names of the four entries (`storage.md` 2.1, 2.2, 2.7).

use std::fmt;
use std::time::Duration;

/// Django's `KEY_PREFIX` and cache version, in front of every key in Redis.
pub const REDIS_PREFIX: &str = "posthog:1:";

/// Longest-lived TTL of an entry with a value: 7 days (`FLAGS_CACHE_TTL`, `TEAM_METADATA_CACHE_TTL`).
const WEEK: Duration = Duration::from_secs(604_800);

/// HyperCache's own default: 30 days.
const MONTH: Duration = Duration::from_secs(2_592_000);

/// TTL of the sentinel for "nothing there": 1 day, for every entry.
pub const MISSING_TTL: Duration = Duration::from_secs(86_400);

/// Which of the four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// `feature_flags/flags.json`, by team id: what evaluation needs.
    Flags,
    /// `feature_flags/flags_with_cohorts.json`, by team id: what SDKs evaluate locally with.
    Definitions,
    /// `team_metadata/full_metadata.json`, by project token.
    Team,
    /// `array/config.json`, by project token.
    Config,
}

impl Entry {
    /// First part of the name.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Flags | Self::Definitions => "feature_flags",
            Self::Team => "team_metadata",
            Self::Config => "array",
        }
    }

    /// Second part of the name.
    #[must_use]
    pub fn value(self) -> &'static str {
        match self {
            Self::Flags => "flags.json",
            Self::Definitions => "flags_with_cohorts.json",
            Self::Team => "full_metadata.json",
            Self::Config => "config.json",
        }
    }

    /// Whether writers keep an ETag beside the payload.
    #[must_use]
    pub fn has_etag(self) -> bool {
        matches!(self, Self::Flags | Self::Definitions)
    }

    /// How long a written value lives in Redis.
    #[must_use]
    pub fn ttl(self) -> Duration {
        match self {
            Self::Flags | Self::Definitions | Self::Team => WEEK,
            Self::Config => MONTH,
        }
    }

    /// Sorted set in which Django looks for entries that will expire.
    #[must_use]
    pub fn expiry_set(self) -> Option<&'static str> {
        match self {
            Self::Flags => Some("flags_cache_expiry"),
            Self::Definitions => Some("flag_definitions_cache_expiry"),
            Self::Team => Some("team_metadata_cache_expiry"),
            Self::Config => None,
        }
    }

    /// Whether a value found in S3 may be written back: not for teams, whose entry proves a token (2.10).
    #[must_use]
    pub fn is_repaired(self) -> bool {
        self != Self::Team
    }
}

/// One entry of one team.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EntryKey {
    /// By team id.
    Flags(i32),
    /// By team id.
    Definitions(i32),
    /// By project token.
    Team(Box<str>),
    /// By project token.
    Config(Box<str>),
}

impl EntryKey {
    /// Which entry.
    #[must_use]
    pub fn entry(&self) -> Entry {
        match self {
            Self::Flags(_) => Entry::Flags,
            Self::Definitions(_) => Entry::Definitions,
            Self::Team(_) => Entry::Team,
            Self::Config(_) => Entry::Config,
        }
    }

    /// Team id or project token: the member of the expiry set.
    #[must_use]
    pub fn member(&self) -> String {
        match self {
            Self::Flags(id) | Self::Definitions(id) => id.to_string(),
            Self::Team(token) | Self::Config(token) => token.to_string(),
        }
    }

    /// Key without prefix: the name of the object in S3.
    #[must_use]
    pub fn base(&self) -> String {
        self.to_string()
    }

    /// Key of the payload in Redis.
    #[must_use]
    pub fn redis(&self) -> String {
        format!("{REDIS_PREFIX}{self}")
    }

    /// Key of the ETag in Redis.
    #[must_use]
    pub fn redis_etag(&self) -> String {
        format!("{REDIS_PREFIX}{self}:etag")
    }

    /// The entry that a Redis key, of a payload or of an ETag, belongs to; `None` for any other key.
    #[must_use]
    pub fn parse_redis(key: &str) -> Option<Self> {
        let base = key.strip_prefix(REDIS_PREFIX)?;
        let base = base.strip_suffix(":etag").unwrap_or(base);
        if let Some(rest) = base.strip_prefix("cache/teams/") {
            let (id, name) = rest.split_once('/')?;
            let id = id.parse().ok()?;
            match name {
                "feature_flags/flags.json" => Some(Self::Flags(id)),
                "feature_flags/flags_with_cohorts.json" => Some(Self::Definitions(id)),
                _ => None,
            }
        } else {
            // A token may hold slashes; the name after it may not.
            let rest = base.strip_prefix("cache/team_tokens/")?;
            if let Some(token) = rest.strip_suffix("/team_metadata/full_metadata.json") {
                Some(Self::Team(token.into()))
            } else {
                let token = rest.strip_suffix("/array/config.json")?;
                Some(Self::Config(token.into()))
            }
        }
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.entry();
        match self {
            Self::Flags(id) | Self::Definitions(id) => write!(formatter, "cache/teams/{id}")?,
            Self::Team(token) | Self::Config(token) => write!(formatter, "cache/team_tokens/{token}")?,
        }
        write!(formatter, "/{}/{}", entry.namespace(), entry.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_specification() {
        let token = "phc_exampleProjectToken0001";
        let cases = [
            (
                EntryKey::Flags(7),
                "posthog:1:cache/teams/7/feature_flags/flags.json",
            ),
            (
                EntryKey::Definitions(7),
                "posthog:1:cache/teams/7/feature_flags/flags_with_cohorts.json",
            ),
            (
                EntryKey::Team(token.into()),
                "posthog:1:cache/team_tokens/phc_exampleProjectToken0001/team_metadata/full_metadata.json",
            ),
            (
                EntryKey::Config(token.into()),
                "posthog:1:cache/team_tokens/phc_exampleProjectToken0001/array/config.json",
            ),
        ];
        for (key, redis) in cases {
            assert_eq!(key.redis(), redis);
            assert_eq!(key.base(), redis.strip_prefix("posthog:1:").unwrap());
            assert_eq!(EntryKey::parse_redis(redis).as_ref(), Some(&key));
            assert_eq!(EntryKey::parse_redis(&key.redis_etag()), Some(key));
        }
    }

    #[test]
    fn other_keys_are_no_entries() {
        for key in [
            "posthog:1:team_token:phc_x",
            "posthog:1:cache/teams/x/feature_flags/flags.json",
            "posthog:1:cache/teams/7/feature_flags/flags_without_cohorts.json",
            "cache/teams/7/feature_flags/flags.json",
            "posthog:1:cache/team_tokens/phc_x/array/other.json",
        ] {
            assert_eq!(EntryKey::parse_redis(key), None, "{key}");
        }
    }
}
