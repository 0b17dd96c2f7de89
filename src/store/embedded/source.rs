//! Projects of the file, through the same builder and loader as in production: entries are built from the rows into memory
//! when they are asked for, and built again when the rows have changed.

use std::sync::Arc;

use bytes::Bytes;

use super::EmbeddedStore;
use crate::hypercache::build::ConfigOptions;
use crate::hypercache::reader::{HyperCacheReader, ReaderLimits};
use crate::hypercache::warm::{WarmOptions, Warmer};
use crate::hypercache::{
    BoxFuture, DatabaseError, DefinitionDatabase, EntryCache, EntryKey, EntryWrite, MemoryCache, NoObjects,
    StoredEntry, StoredPair, TierError,
};
use crate::snapshot::push::PushClock;
use crate::snapshot::{ChangeFeed, Changed, Changes, LoadError, TieredSettings, TieredSource};

/// Entries in memory. What does not fit is built again when it is asked for.
const CACHE_BYTES_MAX: usize = 256 << 20;

impl EmbeddedStore {
    /// The projects of this store as a server loads them. To be made once: it owns the in-process tier.
    #[must_use]
    pub fn project_source(self: &Arc<Self>, settings: &TieredSettings) -> Arc<TieredSource> {
        self.project_source_with(settings, ConfigOptions::default())
    }

    /// The same, with an installation's own decisions about configuration.
    #[must_use]
    pub fn project_source_with(
        self: &Arc<Self>,
        settings: &TieredSettings,
        config: ConfigOptions,
    ) -> Arc<TieredSource> {
        let memory = Arc::new(MemoryCache::new(CACHE_BYTES_MAX));
        let database: Arc<dyn DefinitionDatabase> = Arc::clone(self) as _;
        let built = Arc::new(BuiltEntries {
            warmer: Warmer {
                database: Arc::clone(&database),
                cache: Arc::clone(&memory) as _,
                objects: Arc::new(NoObjects),
                config: Arc::new(config),
            },
            memory,
            turn: tokio::sync::Mutex::new(()),
        });
        let limits = ReaderLimits {
            // Nothing is ever found below the first tier.
            skip_writes: true,
            ..ReaderLimits::default()
        };
        let reader = HyperCacheReader::new(Arc::clone(&built) as _, Arc::new(NoObjects), limits);
        let feed = Arc::new(FileFeed {
            store: Arc::clone(self),
            built,
        });
        Arc::new(TieredSource::new(Arc::new(reader), database, feed, settings))
    }
}

/// The in-process tier: builds what it does not have.
struct BuiltEntries {
    memory: Arc<MemoryCache>,
    warmer: Warmer,
    /// One build at a time, so that a build that read old rows cannot end after their entries were dropped.
    turn: tokio::sync::Mutex<()>,
}

impl BuiltEntries {
    /// Builds all entries of the team that has the key, and returns the one that was asked for.
    async fn build(&self, key: &EntryKey) -> Result<Option<Bytes>, TierError> {
        let _turn = self.turn.lock().await;
        if let Some(found) = self.memory.get(key).await? {
            // Somebody else has built it meanwhile.
            return Ok(Some(found));
        }
        let id = match key {
            EntryKey::Flags(id) | EntryKey::Definitions(id) => *id,
            EntryKey::Team(token) | EntryKey::Config(token) => match self.team_id(token).await? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        let summary = self.warmer.team(id, WarmOptions::default()).await;
        match summary.failures.into_iter().next() {
            Some(failure) => Err(TierError::Failed(failure.error)),
            None => self.memory.get(key).await,
        }
    }

    async fn team_id(&self, token: &str) -> Result<Option<i32>, TierError> {
        let team = self.warmer.database.team_by_token(token).await;
        Ok(team.map_err(tier_error)?.map(|team| team.id))
    }

    /// Drops the entries of a token whose rows have changed. Waits for builds that may have read the old rows.
    async fn drop_entries(&self, token: &str) -> Result<(), TierError> {
        let _turn = self.turn.lock().await;
        let mut keys = vec![EntryKey::Team(token.into()), EntryKey::Config(token.into())];
        if let Some(id) = self.team_id(token).await? {
            keys.extend([EntryKey::Flags(id), EntryKey::Definitions(id)]);
        }
        for key in keys {
            self.memory.delete(&key).await?;
        }
        Ok(())
    }
}

fn tier_error(error: DatabaseError) -> TierError {
    match error {
        DatabaseError::Unavailable(detail) => TierError::Unavailable(detail),
        DatabaseError::Timeout => TierError::Timeout,
        DatabaseError::Corrupt(detail) | DatabaseError::Failed(detail) => TierError::Failed(detail),
    }
}

impl EntryCache for BuiltEntries {
    fn get<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        Box::pin(async move {
            match self.memory.get(key).await? {
                Some(found) => Ok(Some(found)),
                None => self.build(key).await,
            }
        })
    }

    fn get_etag<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        self.memory.get_etag(key)
    }

    fn get_both<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<StoredPair, TierError>> {
        Box::pin(async move {
            let found = self.memory.get_both(key).await?;
            if found.payload.is_some() {
                return Ok(found);
            }
            self.build(key).await?;
            self.memory.get_both(key).await
        })
    }

    fn inspect<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<StoredEntry>, TierError>> {
        self.memory.inspect(key)
    }

    fn put<'a>(&'a self, key: &'a EntryKey, write: EntryWrite) -> BoxFuture<'a, Result<(), TierError>> {
        self.memory.put(key, write)
    }

    fn delete<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<(), TierError>> {
        self.memory.delete(key)
    }

    fn repair<'a>(&'a self, key: &'a EntryKey, write: EntryWrite) -> BoxFuture<'a, Result<bool, TierError>> {
        self.memory.repair(key, write)
    }
}

/// Changes of the file, announced once the old entries are gone.
struct FileFeed {
    store: Arc<EmbeddedStore>,
    built: Arc<BuiltEntries>,
}

impl ChangeFeed for FileFeed {
    fn next(&self) -> BoxFuture<'_, Result<Changes, LoadError>> {
        Box::pin(async {
            let tokens = self.store.next_change().await?;
            // In a task of its own: dropping this future must not leave old entries behind.
            let built = Arc::clone(&self.built);
            let dropping = tokio::spawn(async move {
                for token in &tokens {
                    // When the file cannot be read the old entries stay; so do the old snapshots.
                    let _ = built.drop_entries(token).await;
                }
                tokens
            });
            let tokens = dropping
                .await
                .map_err(|error| LoadError::Failed(error.to_string()))?;
            let changed = tokens.into_iter().map(|token| Changed::Token(token.into()));
            Ok(Changes::Projects(changed.collect()))
        })
    }

    fn clock(&self) -> Arc<PushClock> {
        Arc::clone(&self.store.watch.clock)
    }
}
