//! What is known of credentials, by their hash: for a minute at most, and until a revocation is heard of.
//!
//! Readers take no lock. A credential in the clear is never kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::bearer::parse_stored_form;
use super::principal::Principal;

/// How long a revoked credential may go on working where no revocation is announced (`storage.md` 7.4). Settings may only
/// lower it.
pub const CREDENTIAL_TTL_MAX: Duration = Duration::from_secs(60);

/// Credentials that nobody has are remembered for less: one may be about to be given out.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(10);

/// A credential is asked for again once this part of its time is over. SDKs poll every 30 seconds by default: one of them alone is
/// enough to keep a credential from running out in 60.
const REFRESH_SHARE: u32 = 3;

/// Valid credentials remembered, some half a kilobyte each.
const KNOWN_MAX: usize = 10_000;

/// Others, some hundred bytes each. A flood of them never costs a valid one its place.
const NEGATIVE_MAX: usize = 10_000;

/// A credential that is somebody's.
#[derive(Debug)]
pub struct KnownCredential {
    /// Whose.
    pub principal: Principal,
    /// When the store began to be asked.
    since: Instant,
    ttl: Duration,
    /// Somebody asks again already.
    pub(super) refreshing: AtomicBool,
    /// When its use is to be noted again, seconds since the cache's start.
    pub(super) use_due_seconds: AtomicU64,
}

impl KnownCredential {
    pub(super) fn new(principal: Principal, since: Instant, ttl: Duration) -> Self {
        Self {
            principal,
            since,
            ttl,
            refreshing: AtomicBool::new(false),
            use_due_seconds: AtomicU64::new(0),
        }
    }
}

/// What is remembered of a credential.
pub(super) enum Remembered {
    /// Somebody's.
    Known(Arc<KnownCredential>),
    /// The same, and old enough to be asked for again.
    Due(Arc<KnownCredential>),
    /// Was somebody's when it was last asked for, and its time is over.
    Over,
    /// Nobody's.
    Nobody,
    /// Nothing.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub struct CredentialCache {
    started: Instant,
    known: scc::HashIndex<[u8; 32], Arc<KnownCredential>, ahash::RandomState>,
    negative: scc::HashIndex<[u8; 32], Instant, ahash::RandomState>,
    /// Revocations heard of. What was asked before one of them is not remembered after it.
    revocations: AtomicU64,
    /// Held while something is remembered or revoked; readers never wait for it.
    changing: Mutex<()>,
}

impl Default for CredentialCache {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            known: scc::HashIndex::with_hasher(ahash::RandomState::new()),
            negative: scc::HashIndex::with_hasher(ahash::RandomState::new()),
            revocations: AtomicU64::new(0),
            changing: Mutex::new(()),
        }
    }
}

impl CredentialCache {
    pub(super) fn get(&self, digest: &[u8; 32], now: Instant) -> Remembered {
        let known = self.known.peek_with(digest, |_, known| {
            let age = now.saturating_duration_since(known.since);
            if age >= known.ttl {
                Remembered::Over
            } else if age >= known.ttl / REFRESH_SHARE {
                Remembered::Due(Arc::clone(known))
            } else {
                Remembered::Known(Arc::clone(known))
            }
        });
        if let Some(known) = known {
            return known;
        }
        match self.negative.peek_with(digest, |_, until| now < *until) {
            Some(true) => Remembered::Nobody,
            _ => Remembered::Nothing,
        }
    }

    /// To be asked before a store is, and handed in with its answer.
    pub(super) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Acquire)
    }

    /// Remembers whose a credential is, unless something was revoked meanwhile.
    pub(super) fn insert(&self, digest: [u8; 32], known: &Arc<KnownCredential>, revocations: u64) {
        if known.ttl.is_zero() {
            return;
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.revocations() != revocations {
            return;
        }
        self.make_room();
        if let Some(due) = self
            .known
            .peek_with(&digest, |_, old| old.use_due_seconds.load(Ordering::Relaxed))
        {
            // It is the same key: its use has been noted.
            known.use_due_seconds.store(due, Ordering::Relaxed);
        }
        self.negative.remove_sync(&digest);
        self.known.remove_sync(&digest);
        let _ = self.known.insert_sync(digest, Arc::clone(known));
    }

    /// Remembers that nobody has it.
    pub(super) fn insert_nobody(&self, digest: [u8; 32], since: Instant, ttl: Duration) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.known.remove_sync(&digest);
        if ttl.is_zero() {
            return;
        }
        if self.negative.len() >= NEGATIVE_MAX {
            self.negative.retain_sync(|_, until| since < *until);
            if self.negative.len() >= NEGATIVE_MAX {
                self.negative.clear_sync();
            }
        }
        self.negative.remove_sync(&digest);
        let _ = self
            .negative
            .insert_sync(digest, since + ttl.min(NEGATIVE_TTL_MAX));
    }

    /// Forgets what is over, and when that is not enough, the older half.
    fn make_room(&self) {
        if self.known.len() < KNOWN_MAX {
            return;
        }
        let now = Instant::now();
        self.known
            .retain_sync(|_, known| now.saturating_duration_since(known.since) < known.ttl);
        if self.known.len() < KNOWN_MAX {
            return;
        }
        let mut since = Vec::with_capacity(KNOWN_MAX);
        self.known.retain_sync(|_, known| {
            since.push(known.since);
            true
        });
        since.sort_unstable();
        if let Some(median) = since.get(since.len() / 2).copied() {
            self.known.retain_sync(|_, known| known.since > median);
        }
    }

    /// Forgets the credential with this stored form (`sha256$...`): its shared result has been deleted or replaced.
    pub fn revoke(&self, stored_form: &str) {
        let Some(digest) = parse_stored_form(stored_form) else {
            return;
        };
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.revocations.fetch_add(1, Ordering::AcqRel);
        self.known.remove_sync(&digest);
        self.negative.remove_sync(&digest);
    }

    /// Seconds since the start.
    pub(super) fn seconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs()
    }

    /// Valid credentials remembered, those that are over among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::bearer::stored_form;

    const MINUTE: Duration = Duration::from_secs(60);

    fn known(since: Instant) -> Arc<KnownCredential> {
        let principal = Principal::TeamSecret {
            team_id: 7,
            api_token: "phc_a".to_owned(),
        };
        Arc::new(KnownCredential::new(principal, since, MINUTE))
    }

    fn digest(number: u32) -> [u8; 32] {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_le_bytes());
        digest
    }

    #[test]
    fn a_credential_is_known_for_its_time_and_refreshed_before_its_end() {
        let cache = CredentialCache::default();
        let start = Instant::now();
        cache.insert(digest(1), &known(start), 0);
        let at = |seconds| cache.get(&digest(1), start + Duration::from_secs(seconds));
        assert!(matches!(at(19), Remembered::Known(_)));
        assert!(matches!(at(20), Remembered::Due(_)));
        assert!(matches!(at(59), Remembered::Due(_)));
        assert!(matches!(at(60), Remembered::Over));
        cache.insert_nobody(digest(1), start, MINUTE);
        assert!(matches!(at(0), Remembered::Nobody));
        assert!(matches!(at(10), Remembered::Nothing));
    }

    #[test]
    fn a_revocation_also_meets_what_is_on_its_way() {
        let cache = CredentialCache::default();
        let now = Instant::now();
        let asked = cache.revocations();
        cache.insert(digest(1), &known(now), asked);
        cache.revoke(&stored_form(&digest(1)));
        assert!(matches!(cache.get(&digest(1), now), Remembered::Nothing));
        cache.insert(digest(1), &known(now), asked);
        assert!(
            matches!(cache.get(&digest(1), now), Remembered::Nothing),
            "asked before it"
        );
        cache.insert(digest(1), &known(now), cache.revocations());
        assert!(matches!(cache.get(&digest(1), now), Remembered::Known(_)));
        cache.revoke("sha256$not-hex");
        assert!(matches!(cache.get(&digest(1), now), Remembered::Known(_)));
    }

    #[test]
    fn both_kinds_are_bounded_and_do_not_cost_each_other_places() {
        let cache = CredentialCache::default();
        let now = Instant::now();
        let count = u32::try_from(KNOWN_MAX).unwrap();
        for number in 0..=count {
            cache.insert(
                digest(number),
                &known(now + Duration::from_micros(number.into())),
                0,
            );
        }
        assert!(
            (KNOWN_MAX / 2..=KNOWN_MAX).contains(&cache.len()),
            "{}",
            cache.len()
        );
        assert!(
            matches!(cache.get(&digest(count), now), Remembered::Known(_)),
            "the youngest stays"
        );
        let before = cache.len();
        for number in 0..=count {
            cache.insert_nobody(digest(number + 1_000_000), now, MINUTE);
        }
        assert!(cache.negative.len() <= NEGATIVE_MAX);
        assert_eq!(cache.len(), before);
    }
}
