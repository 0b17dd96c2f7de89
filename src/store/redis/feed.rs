//! Changed entries as the snapshot map wants to hear of them.

use std::sync::Arc;

use super::queue::{ChangeQueue, Changes as Queued};
use crate::hypercache::EntryKey;
use crate::snapshot::push::PushClock;
use crate::snapshot::{BoxFuture, ChangeFeed, Changed, Changes, LoadError};

impl ChangeFeed for ChangeQueue {
    fn next(&self) -> BoxFuture<'_, Result<Changes, LoadError>> {
        Box::pin(async {
            loop {
                match ChangeQueue::next(self).await {
                    Queued::Everything => return Ok(Changes::Everything),
                    Queued::Entries(keys) => {
                        let changed: Vec<Changed> = keys.into_iter().filter_map(changed).collect();
                        if !changed.is_empty() {
                            return Ok(Changes::Projects(changed));
                        }
                    }
                }
            }
        })
    }

    fn clock(&self) -> Arc<PushClock> {
        Arc::clone(ChangeQueue::clock(self))
    }
}

/// `None` for entries that no snapshot is made from.
fn changed(key: EntryKey) -> Option<Changed> {
    match key {
        EntryKey::Flags(id) => Some(Changed::Team(id)),
        EntryKey::Team(token) | EntryKey::Config(token) => Some(Changed::Token(token)),
        EntryKey::Definitions(_) => None,
    }
}
