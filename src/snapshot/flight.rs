//! One load of a token at a time, shared by everybody who waits for it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::map::{LookupError, SnapshotMap};
use super::port::{Found, Held, LoadError};
use crate::span;

/// Refreshes of held tokens at one time; beyond it the old snapshot stays, and a later request tries again.
const REFRESHES_MAX: usize = 64;

/// A load as a whole: the limits of all tiers together are shorter.
const LOAD_MAX: Duration = Duration::from_secs(15);

/// How long after a failed load a held snapshot is used as it is.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

type Landed<V> = Option<Result<Arc<V>, LookupError>>;

/// A load that is under way.
pub(super) struct Flight<V>(watch::Receiver<Landed<V>>);

impl<V> Clone for Flight<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> Flight<V> {
    /// Waits for the load to end.
    pub async fn landed(mut self) -> Result<Arc<V>, LookupError> {
        match self.0.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            _ => Err(LookupError::Load(LoadError::Unavailable(
                "the load was abandoned".into(),
            ))),
        }
    }
}

/// Loads under way, and how many more there may be.
pub(super) struct Flights<V> {
    flying: Mutex<HashMap<Box<str>, Flight<V>>>,
    lookups: Arc<Semaphore>,
    refreshes: Arc<Semaphore>,
}

impl<V> Flights<V> {
    pub fn new(lookups_max: usize) -> Self {
        Self {
            flying: Mutex::new(HashMap::new()),
            lookups: Arc::new(Semaphore::new(lookups_max)),
            refreshes: Arc::new(Semaphore::new(REFRESHES_MAX)),
        }
    }

    pub fn contains(&self, token: &str) -> bool {
        self.flying
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(token)
    }

    /// Tokens that are being loaded; few, because loads are capped.
    pub fn tokens(&self) -> Vec<Box<str>> {
        let flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        flying.keys().cloned().collect()
    }
}

impl<V: Held> SnapshotMap<V> {
    /// The load of a token that is under way, or a new one. `held`: an old snapshot exists, so that the cap on
    /// lookups of new tokens does not apply.
    pub(super) fn join_flight(self: &Arc<Self>, token: &str, held: bool) -> Result<Flight<V>, LookupError> {
        let mut flying = self.flights.flying.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flying.get(token) {
            return Ok(flight.clone());
        }
        let permits = if held {
            &self.flights.refreshes
        } else {
            &self.flights.lookups
        };
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
            return Err(LookupError::Busy);
        };
        let (sender, receiver) = watch::channel(None);
        let flight = Flight(receiver);
        flying.insert(token.into(), flight.clone());
        drop(flying);
        let landing = Landing {
            map: Arc::clone(self),
            token: token.into(),
            _permit: permit,
        };
        // A load goes on without the request that began it, whose trace it belongs to all the same.
        let scope = span::current();
        tokio::spawn(span::within(scope, async move {
            let result = landing.map.load(&landing.token).await;
            // Before the waiters wake: who asks next starts anew instead of joining a load that has ended.
            drop(landing);
            // Receivers may all be gone; the snapshot is held all the same.
            sender.send_replace(Some(result));
        }));
        Ok(flight)
    }

    /// Loads a token now, whether or not it is being loaded already.
    pub(super) async fn load(&self, token: &str) -> Result<Arc<V>, LookupError> {
        let result = match tokio::time::timeout(LOAD_MAX, self.load_once(token)).await {
            Ok(result) => result,
            Err(_) => Err(LookupError::Load(LoadError::Timeout)),
        };
        if let Err(LookupError::Load(_)) = &result
            && let Some(held) = self.held_entry(token)
        {
            let pause = u64::try_from(RETRY_PAUSE.as_millis()).unwrap_or(u64::MAX);
            held.retry_at_ms.store(self.now_ms() + pause, Ordering::Relaxed);
        }
        result
    }

    async fn load_once(&self, token: &str) -> Result<Arc<V>, LookupError> {
        let number = self.loads.fetch_add(1, Ordering::AcqRel);
        let began_ms = self.now_ms();
        let known = self
            .held_entry(token)
            .map(|held| Arc::clone(&held.current.load().snapshot));
        let began = Instant::now();
        let loaded = self.source.load(token, known.as_deref()).await;
        let loaded = loaded.map_err(LookupError::Load);
        self.metrics.loaded(loaded.as_ref(), began.elapsed());
        let loaded = loaded?;
        let (snapshot, validity) = match (loaded, known) {
            (Found::Nothing, _) => {
                self.negative.insert(token, Instant::now());
                self.remove(token);
                return Err(LookupError::UnknownToken);
            }
            (Found::Unchanged(validity), Some(known)) => (known, validity),
            (Found::Unchanged(_), None) => {
                let detail = "unchanged, but nothing was known".to_owned();
                return Err(LookupError::Load(LoadError::Corrupt(detail)));
            }
            (Found::Value(value, validity), _) => (value, validity),
        };
        self.publish(token, number, began_ms, Arc::clone(&snapshot), validity);
        Ok(snapshot)
    }
}

/// Ends a flight, also when the load panics: the permit comes back and the next request starts anew.
struct Landing<V: Held> {
    map: Arc<SnapshotMap<V>>,
    token: Box<str>,
    _permit: OwnedSemaphorePermit,
}

impl<V: Held> Drop for Landing<V> {
    fn drop(&mut self) {
        self.map
            .flights
            .flying
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.token);
        if let Some(held) = self.map.held_entry(&self.token) {
            held.refreshing.store(false, Ordering::Release);
        }
    }
}
