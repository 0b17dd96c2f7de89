//! The queue of teams whose definitions Django is asked to build (`storage.md` 6.8).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use redis::cmd;

use super::Client;
use crate::hypercache::{BoxFuture, TierError};
use crate::snapshot::feed::RebuildQueue;

const QUEUE: &str = "flag_definitions:rebuild_requests";

/// The queue on one server: the dedicated one if there is one, else the shared one.
#[derive(Debug)]
pub struct RedisRebuilds(Arc<Client>);

impl RedisRebuilds {
    /// On this server.
    #[must_use]
    pub fn new(client: Arc<Client>) -> Self {
        Self(client)
    }
}

impl RebuildQueue for RedisRebuilds {
    fn request(&self, team_id: i32) -> BoxFuture<'_, Result<(), TierError>> {
        Box::pin(async move {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            // The score stays that of the oldest request.
            let mut add = cmd("ZADD");
            add.arg(QUEUE).arg("NX").arg(now_ms).arg(team_id);
            Ok(self.0.write::<()>(&add).await?)
        })
    }
}
