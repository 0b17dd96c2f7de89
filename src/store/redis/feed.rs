//! Changed entries as the snapshot map wants to hear of them.

use std::sync::Arc;

use super::queue::{ChangeQueue, Changes as Queued};
use crate::hypercache::EntryKey;
use crate::snapshot::push::PushClock;
use crate::snapshot::{BoxFuture, ChangeFeed, Changed, Changes, LoadError};

impl ChangeFeed for ChangeQueue {
    fn next(&self) -> BoxFuture<'_, Result<Changes, LoadError>> {
        Box::pin(async {
            Ok(match ChangeQueue::next(self).await {
                Queued::Everything => Changes::Everything,
                Queued::Entries(keys) => Changes::Projects(keys.into_iter().map(changed).collect()),
            })
        })
    }

    fn clock(&self) -> Arc<PushClock> {
        Arc::clone(ChangeQueue::clock(self))
    }
}

/// What an entry is a part of.
fn changed(key: EntryKey) -> Changed {
    match key {
        EntryKey::Flags(id) => Changed::Team(id),
        EntryKey::Team(token) | EntryKey::Config(token) => Changed::Token(token),
        EntryKey::Definitions(id) => Changed::Definitions(id),
    }
}
