//! Asking Django to build a team's definitions (`storage.md` 6.8): beside requests, seldom, a few at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::hypercache::TierError;
use crate::snapshot::BoxFuture;

/// A team is asked for once in this time. Django tries a team once in five minutes.
const PAUSE: Duration = Duration::from_secs(60);

/// Teams whose pause is remembered; beyond them they are asked for again, which the queue makes harmless.
const TEAMS_MAX: usize = 10_000;

/// Requests under way; more are left to the next load.
const UNDER_WAY_MAX: usize = 16;

/// A request is not worth more.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// The queue that Django drains.
pub trait RebuildQueue: Send + Sync {
    /// Enters a team, unless it is there already: its place tells how long it has waited.
    fn request(&self, team_id: i32) -> BoxFuture<'_, Result<(), TierError>>;
}

/// Requests of this process.
pub struct Rebuilds {
    queue: Arc<dyn RebuildQueue>,
    asked: Arc<Mutex<HashMap<i32, Instant>>>,
    under_way: Arc<Semaphore>,
}

impl Rebuilds {
    /// To this queue.
    #[must_use]
    pub fn new(queue: Arc<dyn RebuildQueue>) -> Self {
        Self {
            queue,
            asked: Arc::default(),
            under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
        }
    }

    /// Asks in a task of its own. Best effort: a failure has no one to tell, and is tried again with the next load.
    pub fn request(&self, team_id: i32) {
        let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
            return;
        };
        let now = Instant::now();
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked
                .get(&team_id)
                .is_some_and(|at| now.duration_since(*at) < PAUSE)
            {
                return;
            }
            if asked.len() >= TEAMS_MAX {
                asked.clear();
            }
            asked.insert(team_id, now);
        }
        let (queue, asked) = (Arc::clone(&self.queue), Arc::clone(&self.asked));
        tokio::spawn(async move {
            let _permit = permit;
            if !matches!(timeout(WRITE_TIMEOUT, queue.request(team_id)).await, Ok(Ok(()))) {
                asked
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&team_id);
            }
        });
    }
}
