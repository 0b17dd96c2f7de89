//! Whose a credential is: from memory, else from the shared results, else from the database, once at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::bearer::{Credential, stored_form};
use super::cache::{CREDENTIAL_TTL_MAX, CredentialCache, KnownCredential, Remembered};
use super::port::{AuthError, CredentialStore, KeyUses, SharedCredentials};
use super::principal::Principal;
use super::{legacy, shared};
use crate::hypercache::DatabaseError;
use crate::resilience::Breaker;
use crate::span;

/// Refreshes of known credentials at one time; beyond it they run out, and are looked up as new ones.
const REFRESHES_MAX: usize = 32;

/// Look-ups of new credentials that ask stores at one time; others wait for their turn. Fewer than a pool has connections, so
/// that a flood of made-up credentials leaves some to everything else.
const ASKING_MAX: usize = 4;

/// The same for credentials that have been somebody's: no flood of made-up ones is before them.
const ASKING_KNOWN_MAX: usize = 2;

/// One part in this many of the look-ups is all that new credentials for one team may take, so that made-up ones for a
/// team keep only that team's new ones out.
const TEAM_SHARE: usize = 8;

/// Hashes of the older kind computed at one time.
const LEGACY_MAX: usize = 2;

/// Notes of use under way; more are left out until the next request.
const USES_MAX: usize = 16;

/// A look-up as a whole, its wait for a turn included: less than a request has.
const LOOKUP_MAX: Duration = Duration::from_secs(4);

/// What stores have to answer in; the statement limit of the pool is two seconds.
const ASK_MAX: Duration = Duration::from_millis(2500);

/// How often the use of a key is noted (`storage.md` 7.5).
const USE_INTERVAL: Duration = Duration::from_secs(3600);

/// The same after a failure.
const USE_RETRY: Duration = Duration::from_secs(60);

/// What start-up decides.
#[derive(Debug, Clone, Copy)]
pub struct AuthSettings {
    /// How long a credential is remembered; [`CREDENTIAL_TTL_MAX`] at most.
    pub ttl: Duration,
    /// Look-ups of credentials that are not known, those that wait for their turn among them.
    pub lookups_max: usize,
    /// `PERSONAL_API_KEY_LEGACY_HASHES`.
    pub legacy_hashes: bool,
}

/// Stores of one process.
pub struct AuthStores {
    /// Keys and secrets.
    pub keys: Arc<dyn CredentialStore>,
    /// Shared results; `None`: nothing would delete them on a revocation.
    pub shared: Option<Arc<dyn SharedCredentials>>,
    /// `None`: uses are not noted (`SKIP_WRITES`).
    pub uses: Option<Arc<dyn KeyUses>>,
    /// Also in the hands of whoever hears of revocations.
    pub cache: Arc<CredentialCache>,
}

type Landed = Option<Result<Arc<KnownCredential>, AuthError>>;

/// Look-ups under way.
#[derive(Default)]
struct Flying {
    by_credential: HashMap<[u8; 32], watch::Receiver<Landed>>,
    /// How many of new credentials there are for each team that is known to be asked for.
    by_team: HashMap<i32, usize>,
}

/// Which look-up a credential is in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It has been somebody's.
    Known,
    /// Never seen, for this team if the request names one.
    New(Option<i32>),
}

/// See the module.
pub struct Authenticator {
    stores: AuthStores,
    settings: AuthSettings,
    flying: Mutex<Flying>,
    lookups: Arc<Semaphore>,
    refreshes: Arc<Semaphore>,
    asking: Semaphore,
    asking_known: Semaphore,
    breaker: Breaker,
    legacy: Arc<Semaphore>,
    uses: Arc<Semaphore>,
}

impl Authenticator {
    /// Over these stores.
    #[must_use]
    pub fn new(stores: AuthStores, settings: AuthSettings) -> Self {
        let settings = AuthSettings {
            ttl: settings.ttl.min(CREDENTIAL_TTL_MAX),
            ..settings
        };
        Self {
            stores,
            flying: Mutex::default(),
            lookups: Arc::new(Semaphore::new(settings.lookups_max.min(Semaphore::MAX_PERMITS))),
            refreshes: Arc::new(Semaphore::new(REFRESHES_MAX)),
            asking: Semaphore::new(ASKING_MAX),
            asking_known: Semaphore::new(ASKING_KNOWN_MAX),
            breaker: Breaker::new("credentials"),
            legacy: Arc::new(Semaphore::new(LEGACY_MAX)),
            uses: Arc::new(Semaphore::new(USES_MAX)),
            settings,
        }
    }

    /// Whose a credential is. From memory without a lock; requests for one that is not there share a look-up, which goes
    /// on when they go away. `team_id`: the team that the request names.
    ///
    /// # Errors
    /// When nobody has it, too many are being looked up, or no store answers; the latter two say nothing of it.
    pub async fn identify(
        self: &Arc<Self>,
        credential: &Credential<'_>,
        team_id: Option<i32>,
    ) -> Result<Arc<KnownCredential>, AuthError> {
        if credential.is_oversized() {
            return Err(nobody(credential.is_secret()));
        }
        match self.stores.cache.get(&credential.digest(), Instant::now()) {
            Remembered::Known(known) => Ok(known),
            Remembered::Due(known) => {
                if !known.refreshing.swap(true, Ordering::AcqRel)
                    && self.join(credential, Kind::Known).is_err()
                {
                    known.refreshing.store(false, Ordering::Release);
                }
                Ok(known)
            }
            Remembered::Nobody => Err(nobody(credential.is_secret())),
            Remembered::Over => landed(self.join(credential, Kind::Known)?).await,
            Remembered::Nothing => landed(self.join(credential, Kind::New(team_id))?).await,
        }
    }

    /// Notes that a key was of use, in a task of its own, once an hour.
    pub fn note_use(self: &Arc<Self>, known: &Arc<KnownCredential>) {
        let (Some(uses), Some(_)) = (&self.stores.uses, known.principal.key()) else {
            return;
        };
        let now = self.stores.cache.seconds(Instant::now());
        let due = known.use_due_seconds.load(Ordering::Relaxed);
        if now < due {
            return;
        }
        let Ok(permit) = Arc::clone(&self.uses).try_acquire_owned() else {
            return;
        };
        let next = now + USE_INTERVAL.as_secs();
        let taken = known
            .use_due_seconds
            .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if taken.is_err() {
            return;
        }
        let (uses, known) = (Arc::clone(uses), Arc::clone(known));
        tokio::spawn(async move {
            let _permit = permit;
            if let Some((kind, key_id)) = known.principal.key() {
                let noted = tokio::time::timeout(LOOKUP_MAX, uses.used(kind, key_id)).await;
                if !matches!(noted, Ok(Ok(()))) {
                    let retry = now + USE_RETRY.as_secs();
                    known.use_due_seconds.store(retry, Ordering::Relaxed);
                }
            }
        });
    }

    /// The look-up of a credential that is under way, or a new one.
    fn join(
        self: &Arc<Self>,
        credential: &Credential<'_>,
        kind: Kind,
    ) -> Result<watch::Receiver<Landed>, AuthError> {
        let digest = credential.digest();
        let mut flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flying.by_credential.get(&digest) {
            return Ok(flight.clone());
        }
        let (permits, team_id) = match kind {
            Kind::Known => (&self.refreshes, None),
            Kind::New(team_id) => (&self.lookups, team_id),
        };
        let share = (self.settings.lookups_max / TEAM_SHARE).max(1);
        if team_id.is_some_and(|id| flying.by_team.get(&id).is_some_and(|count| *count >= share)) {
            return Err(AuthError::Busy);
        }
        let permit = Arc::clone(permits)
            .try_acquire_owned()
            .map_err(|_| AuthError::Busy)?;
        let (sender, receiver) = watch::channel(None);
        flying.by_credential.insert(digest, receiver.clone());
        if let Some(id) = team_id {
            *flying.by_team.entry(id).or_default() += 1;
        }
        drop(flying);
        let landing = Landing {
            authenticator: Arc::clone(self),
            digest,
            team_id,
            _permit: permit,
        };
        let (value, is_secret) = (credential.value().to_owned(), credential.is_secret());
        // What the request's trace shows is below it, although the look-up goes on without it.
        let scope = span::current();
        tokio::spawn(span::within(scope, async move {
            let result = landing
                .authenticator
                .look_up(&value, digest, is_secret, kind == Kind::Known)
                .await;
            // Before the waiters wake: who asks next starts anew instead of joining what has ended.
            drop(landing);
            sender.send_replace(Some(result));
        }));
        Ok(receiver)
    }

    async fn look_up(
        &self,
        value: &str,
        digest: [u8; 32],
        is_secret: bool,
        is_known: bool,
    ) -> Result<Arc<KnownCredential>, AuthError> {
        let cache = &self.stores.cache;
        let (revocations, since) = (cache.revocations(), Instant::now());
        let hash = stored_form(&digest);
        let asked = self.ask_in_turn(value, &hash, is_secret, is_known);
        match tokio::time::timeout(LOOKUP_MAX, asked).await {
            Err(_) => Err(AuthError::Store(DatabaseError::Timeout)),
            Ok(Err(error)) => {
                // It goes on for the rest of its time; the next request tries again.
                if let Remembered::Due(known) = cache.get(&digest, Instant::now()) {
                    known.refreshing.store(false, Ordering::Release);
                }
                Err(error)
            }
            Ok(Ok(Some(principal))) => {
                let known = Arc::new(KnownCredential::new(principal, since, self.settings.ttl));
                cache.insert(digest, &known, revocations);
                Ok(known)
            }
            Ok(Ok(None)) => {
                cache.insert_nobody(digest, since, self.settings.ttl);
                Err(nobody(is_secret))
            }
        }
    }

    async fn ask_in_turn(
        &self,
        value: &str,
        hash: &str,
        is_secret: bool,
        is_known: bool,
    ) -> Result<Option<Principal>, AuthError> {
        let turns = if is_known {
            &self.asking_known
        } else {
            &self.asking
        };
        // Never closed; without a turn it would only be one more.
        let _turn = turns.acquire().await;
        // Where a store hangs, requests are not to wait for it one after another.
        let permit = self
            .breaker
            .admit(Instant::now())
            .map_err(|open| AuthError::Store(DatabaseError::Unavailable(open.to_string())))?;
        let asked = tokio::time::timeout(ASK_MAX, self.ask(value, hash, is_secret)).await;
        let asked = asked.unwrap_or(Err(AuthError::Store(DatabaseError::Timeout)));
        match &asked {
            Err(AuthError::Store(DatabaseError::Timeout | DatabaseError::Unavailable(_))) => {
                permit.failed(Instant::now());
            }
            _ => permit.succeeded(),
        }
        asked
    }

    async fn ask(&self, value: &str, hash: &str, is_secret: bool) -> Result<Option<Principal>, AuthError> {
        if let Some(shared) = &self.stores.shared
            && let Some(principal) = shared.get(hash).await.as_deref().and_then(shared::parse)
        {
            return Ok(Some(principal));
        }
        if is_secret {
            let rows = self
                .stores
                .keys
                .secret(value, hash)
                .await
                .map_err(AuthError::Store)?;
            let team = rows.team.and_then(|owner| Principal::of_secret(owner, value));
            return Ok(team.or(rows.key.map(Principal::ProjectSecret)));
        }
        let hashes = [hash.to_owned()];
        let rows = self.stores.keys.personal(&hashes, Some(value)).await;
        let rows = rows.map_err(AuthError::Store)?;
        if let Some(key) = rows.key {
            return Ok(Some(Principal::Personal(key)));
        }
        if let Some(team) = rows.team.and_then(|owner| Principal::of_secret(owner, value)) {
            return Ok(Some(team));
        }
        if self.settings.legacy_hashes {
            return self.ask_legacy(value).await;
        }
        Ok(None)
    }

    async fn ask_legacy(&self, value: &str) -> Result<Option<Principal>, AuthError> {
        let turn = Arc::clone(&self.legacy)
            .try_acquire_owned()
            .map_err(|_| AuthError::Busy)?;
        let owned = value.to_owned();
        let hashes = tokio::task::spawn_blocking(move || {
            // Until the work is done, whoever still waits for it.
            let _turn = turn;
            legacy::stored_forms(&owned)
        })
        .await;
        let hashes = hashes.map_err(|error| AuthError::Store(DatabaseError::Failed(error.to_string())))?;
        let rows = self.stores.keys.personal(&hashes, None).await;
        Ok(rows.map_err(AuthError::Store)?.key.map(Principal::Personal))
    }
}

/// The outcome of a look-up that is under way.
async fn landed(mut flight: watch::Receiver<Landed>) -> Result<Arc<KnownCredential>, AuthError> {
    match flight.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(result)) => result.clone(),
        _ => Err(AuthError::Store(DatabaseError::Unavailable(
            "the look-up was abandoned".to_owned(),
        ))),
    }
}

fn nobody(is_secret: bool) -> AuthError {
    if is_secret {
        AuthError::SecretInvalid
    } else {
        AuthError::PersonalKeyInvalid
    }
}

/// Ends a look-up, also when it panics: the permit comes back and the next request starts anew.
struct Landing {
    authenticator: Arc<Authenticator>,
    digest: [u8; 32],
    team_id: Option<i32>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flying = self
            .authenticator
            .flying
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        flying.by_credential.remove(&self.digest);
        if let Some(id) = self.team_id
            && let Entry::Occupied(mut count) = flying.by_team.entry(id)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
