//! Cookieless mode: an id made from what a request shows anyway, different every day (`storage.md` 6.7, `http.md` 8.3).
//!
//! Ingestion makes the same ids from the same inputs, so every step is a contract to the byte. This decides the id; whether a
//! request asks for one is `http`'s to say, where salts are kept is `store`'s.

mod day;
mod hash;
mod root_domain;
mod salt;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use day::day_of;
pub use hash::{HashInput, Salt, cookieless_hash, unpadded};
pub use root_domain::root_domain;

use crate::snapshot::BoxFuture;
use salt::SaltCache;

/// The distinct id that asks for cookieless mode.
pub const COOKIELESS_DISTINCT_ID: &str = "$posthog_cookieless";

/// In front of the hash in the id that is made.
const ID_PREFIX: &str = "cookieless_";

/// Salts and identify counts, shared with ingestion.
pub trait CookielessStore: Send + Sync {
    /// The salt of a day (`YYYY-MM-DD`), made if there is none. Never replaces one.
    fn salt<'a>(&'a self, day: &'a str) -> BoxFuture<'a, Result<Salt, CookielessStoreError>>;

    /// How many persons were identified under this first hash (base64 without padding) today.
    fn identify_count<'a>(
        &'a self,
        team_id: i32,
        hash: &'a str,
    ) -> BoxFuture<'a, Result<u64, CookielessStoreError>>;
}

/// Why the store gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CookielessStoreError {
    /// Cannot be reached, or not in time.
    Unavailable(String),
    /// Holds something that is no salt.
    Corrupt(String),
}

impl fmt::Display for CookielessStoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(formatter, "cookieless store unavailable: {detail}"),
            Self::Corrupt(detail) => write!(formatter, "salt unreadable: {detail}"),
        }
    }
}

impl std::error::Error for CookielessStoreError {}

/// What an id is made from.
#[derive(Debug, Clone, Copy)]
pub struct CookielessInput<'a> {
    /// Owner.
    pub team_id: i32,
    /// Whether identify counts are part of the id (the team's mode 2).
    pub stateful: bool,
    /// The client's address.
    pub ip: IpAddr,
    /// `Origin`, as sent; empty when absent.
    pub host: &'a str,
    /// `User-Agent`; empty when absent.
    pub user_agent: &'a str,
    /// When the client says that it sent the request, in ms since 1970.
    pub sent_at_ms: Option<i64>,
    /// Now, in ms since 1970.
    pub now_ms: i64,
    /// Time zone of the client.
    pub timezone: Option<&'a str>,
    /// Time zone of the team.
    pub team_timezone: &'a str,
    /// `cookieless_hash_extra`; empty when absent.
    pub extra: &'a str,
}

/// Why no id could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CookielessError {
    /// This input is empty.
    MissingProperty(&'static str),
    /// The origin is no URL, for this reason.
    InvalidUrl(&'static str),
    /// The time is none of the calendar.
    InvalidTimestamp,
    /// The day is neither today nor yesterday anywhere.
    OutOfWindow,
    /// No salt to be had.
    Store(CookielessStoreError),
}

/// Makes ids; holds the salts of the last days.
pub struct Cookieless {
    store: Arc<dyn CookielessStore>,
    salts: SaltCache,
    disabled: bool,
    force_stateless: bool,
    counts_unavailable: AtomicU64,
}

impl Cookieless {
    /// `salt_ttl`: how long a salt is kept in memory.
    #[must_use]
    pub fn new(
        store: Arc<dyn CookielessStore>,
        disabled: bool,
        force_stateless: bool,
        salt_ttl: Duration,
    ) -> Self {
        Self {
            store,
            salts: SaltCache::new(salt_ttl),
            disabled,
            force_stateless,
            counts_unavailable: AtomicU64::new(0),
        }
    }

    /// Whether a request with this distinct id, of a team with this mode, gets an id made.
    #[must_use]
    pub fn applies(&self, distinct_id: Option<&str>, hash_mode: i16) -> bool {
        distinct_id == Some(COOKIELESS_DISTINCT_ID) && hash_mode != 0 && !self.disabled
    }

    /// How often an identify count could not be had and 0 was taken instead.
    #[must_use]
    pub fn counts_unavailable(&self) -> u64 {
        self.counts_unavailable.load(Ordering::Relaxed)
    }

    /// The distinct id. `at` ages the salts in memory.
    ///
    /// # Errors
    /// See [`CookielessError`]; an identify count that cannot be had is no error: it is 0 for all who never identified.
    pub async fn distinct_id(
        &self,
        input: &CookielessInput<'_>,
        at: Instant,
    ) -> Result<String, CookielessError> {
        if input.host.is_empty() {
            return Err(CookielessError::MissingProperty("host"));
        }
        if input.user_agent.is_empty() {
            return Err(CookielessError::MissingProperty("user_agent"));
        }
        let root_domain = root_domain(input.host).map_err(CookielessError::InvalidUrl)?;
        let sent_at_ms = input.sent_at_ms.unwrap_or(input.now_ms);
        let day = day_of(sent_at_ms, input.timezone, input.team_timezone)
            .ok_or(CookielessError::InvalidTimestamp)?;
        if !day::is_in_window(day, input.now_ms) {
            return Err(CookielessError::OutOfWindow);
        }
        let salt = self
            .salts
            .get(day, at, &*self.store)
            .await
            .map_err(CookielessError::Store)?;
        let hash_input = HashInput {
            team_id: input.team_id,
            ip: input.ip,
            root_domain: &root_domain,
            user_agent: input.user_agent,
            extra: input.extra,
        };
        let first = unpadded(&cookieless_hash(&salt, &hash_input, 0));
        let count = if input.stateful && !self.force_stateless {
            let counted = self.store.identify_count(input.team_id, &first).await;
            counted.unwrap_or_else(|_| {
                self.counts_unavailable.fetch_add(1, Ordering::Relaxed);
                0
            })
        } else {
            0
        };
        let hash = match count {
            0 => first,
            count => unpadded(&cookieless_hash(&salt, &hash_input, count)),
        };
        Ok(format!("{ID_PREFIX}{hash}"))
    }
}

#[cfg(test)]
mod tests;
