//! What authentication and the definitions feed ask of the connected stores.

use std::sync::Arc;

use super::Connected;
use crate::auth::{AuthStores, KeyKind, KeyUses};
use crate::hypercache::{BoxFuture, DatabaseError};
use crate::snapshot::feed::RebuildQueue;
use crate::store::postgres::PostgresKeys;
use crate::store::redis::{Client, RedisCredentials, RedisError, RedisRebuilds, note_key_use};

impl Connected {
    /// Keys in PostgreSQL, and shared results where a dedicated Redis has them.
    #[must_use]
    pub fn auth(&self) -> AuthStores {
        let keys = Arc::new(PostgresKeys::new(
            Arc::clone(&self.pools.non_persons_reader),
            Arc::clone(&self.pools.non_persons_writer),
        ));
        let dedicated = self.dedicated.as_ref();
        AuthStores {
            shared: dedicated.map(|client| Arc::new(RedisCredentials::new(Arc::clone(client))) as _),
            uses: (!self.skip_writes).then(|| {
                Arc::new(ConnectedUses {
                    redis: Arc::clone(&self.shared),
                    keys: Arc::clone(&keys),
                }) as _
            }),
            keys,
            cache: Arc::clone(&self.credentials),
        }
    }

    /// The queue on which Django is asked to build definitions; `None` under `SKIP_WRITES`.
    #[must_use]
    pub fn rebuilds(&self) -> Option<Arc<dyn RebuildQueue>> {
        let client = self.dedicated.as_ref().unwrap_or(&self.shared);
        (!self.skip_writes).then(|| Arc::new(RedisRebuilds::new(Arc::clone(client))) as _)
    }
}

/// Redis says whose turn it is, PostgreSQL keeps it.
struct ConnectedUses {
    redis: Arc<Client>,
    keys: Arc<PostgresKeys>,
}

impl KeyUses for ConnectedUses {
    fn used<'a>(&'a self, kind: KeyKind, key_id: &'a str) -> BoxFuture<'a, Result<(), DatabaseError>> {
        Box::pin(async move {
            if note_key_use(&self.redis, kind, key_id).await.map_err(failed)? {
                self.keys.set_used(kind, key_id).await?;
            }
            Ok(())
        })
    }
}

fn failed(error: RedisError) -> DatabaseError {
    match error {
        RedisError::Timeout => DatabaseError::Timeout,
        other => DatabaseError::Unavailable(other.to_string()),
    }
}
