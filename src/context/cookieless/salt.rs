//! Salts of the last days, in memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use tokio::sync::OnceCell;

use super::{CookielessStore, CookielessStoreError, Salt};

/// Days that can be in the window at once are four; more are held by nobody.
const DAYS_MAX: usize = 8;

/// Asks the store once a day and salt lifetime, whoever asks meanwhile waits for that answer.
pub(super) struct SaltCache {
    ttl: Duration,
    days: Mutex<Vec<Held>>,
}

struct Held {
    day: Date,
    since: Instant,
    salt: Arc<OnceCell<Salt>>,
}

impl SaltCache {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            days: Mutex::new(Vec::with_capacity(DAYS_MAX)),
        }
    }

    /// A failure is not kept: the next caller asks again.
    pub(super) async fn get(
        &self,
        day: Date,
        now: Instant,
        store: &dyn CookielessStore,
    ) -> Result<Salt, CookielessStoreError> {
        let cell = self.cell(day, now);
        let salt = cell.get_or_try_init(|| async { store.salt(&day.to_string()).await });
        salt.await.copied()
    }

    fn cell(&self, day: Date, now: Instant) -> Arc<OnceCell<Salt>> {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        days.retain(|held| now.saturating_duration_since(held.since) < self.ttl);
        if let Some(held) = days.iter().find(|held| held.day == day) {
            return Arc::clone(&held.salt);
        }
        if days.len() == DAYS_MAX {
            days.remove(0);
        }
        let salt = Arc::new(OnceCell::new());
        days.push(Held {
            day,
            since: now,
            salt: Arc::clone(&salt),
        });
        salt
    }
}
