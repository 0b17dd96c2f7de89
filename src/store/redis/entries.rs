//! Entries in Redis: exact commands (`storage.md` 2.6, 2.7, 2.9, 2.10), and the walk over the clients of an entry.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use redis::{cmd, pipe};

use super::{Client, Mode, RedisError, Server};
use crate::hypercache::{BoxFuture, EntryCache, EntryKey, EntryWrite, StoredEntry, StoredPair, TierError};

/// The first tier in Redis.
#[derive(Debug)]
pub struct RedisEntries {
    mode: Mode,
    shared: Arc<Client>,
    dedicated: Option<Arc<Client>>,
}

impl RedisEntries {
    /// Over the shared client and, if `FLAGS_REDIS_URL` is set, the dedicated one. `enabled` and `definitions` are
    /// `FLAGS_REDIS_ENABLED` and `FLAG_DEFINITIONS_DEDICATED_REDIS_ENABLED`.
    #[must_use]
    pub fn new(
        shared: Arc<Client>,
        dedicated: Option<Arc<Client>>,
        enabled: bool,
        definitions: bool,
    ) -> Self {
        Self {
            mode: Mode::new(dedicated.is_some(), enabled, definitions),
            shared,
            dedicated,
        }
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// One line for the log at start: the mode and where each entry is read.
    #[must_use]
    pub fn sources(&self) -> String {
        self.mode.to_string()
    }

    /// The clients whose changes have to be followed, one or two.
    pub fn followed(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.mode.followed().iter().map(|server| self.client(*server))
    }

    fn client(&self, server: Server) -> &Arc<Client> {
        match server {
            Server::Shared => &self.shared,
            // No mode names the dedicated client without one; were it so, the shared one is upstream's answer too.
            Server::Dedicated => self.dedicated.as_ref().unwrap_or(&self.shared),
        }
    }

    async fn read(&self, key: &EntryKey) -> Result<Option<Bytes>, RedisError> {
        let route = self.mode.route(key.entry());
        let redis_key = key.redis();
        let get = cmd("GET").arg(redis_key).to_owned();
        match self.client(route.first).read(&get).await {
            Ok(None) => match route.when_absent {
                Some(second) => self.client(second).read(&get).await,
                None => Ok(None),
            },
            Err(error @ RedisError::Unavailable(_)) => {
                let Some(second) = route.when_unavailable else {
                    return Err(error);
                };
                match self.client(second).read(&get).await {
                    Ok(Some(payload)) => Ok(Some(payload)),
                    // Only the absent server knows whether there is an entry.
                    _ => Err(error),
                }
            }
            reply => reply,
        }
    }

    /// Only of the client that also has the payload, and never of a stand-in: an old ETag would answer 304 for a newer payload.
    async fn read_etag(&self, key: &EntryKey) -> Result<Option<Bytes>, RedisError> {
        let route = self.mode.route(key.entry());
        let first = self.client(route.first);
        let get = cmd("GET").arg(key.redis_etag()).to_owned();
        let Some(second) = route.when_absent else {
            return first.read(&get).await;
        };
        let mut both = pipe();
        both.atomic()
            .cmd("EXISTS")
            .arg(key.redis())
            .add_command(get.clone());
        let (has_payload, etag): (bool, Option<Bytes>) = first.read_together(&both).await?;
        if has_payload {
            Ok(etag)
        } else {
            self.client(second).read(&get).await
        }
    }

    /// `MGET` of one server, which nothing can come between.
    async fn read_both(&self, key: &EntryKey) -> Result<StoredPair, RedisError> {
        let route = self.mode.route(key.entry());
        let both = cmd("MGET").arg(key.redis()).arg(key.redis_etag()).to_owned();
        let ask = async |server| {
            let (payload, etag): (Option<Bytes>, Option<Bytes>) = self.client(server).read(&both).await?;
            Ok::<_, RedisError>(StoredPair { payload, etag })
        };
        match ask(route.first).await {
            Ok(found) => match route.when_absent {
                Some(second) if found.payload.is_none() => ask(second).await,
                _ => Ok(found),
            },
            Err(error @ RedisError::Unavailable(_)) => {
                let Some(second) = route.when_unavailable else {
                    return Err(error);
                };
                match ask(second).await {
                    Ok(found) if found.payload.is_some() => Ok(found),
                    // Only the absent server knows whether there is an entry.
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// What all clients that a write would go to agree on; where they differ, there is nothing to skip a write for.
    async fn inspect_all(&self, key: &EntryKey) -> Result<Option<StoredEntry>, RedisError> {
        let mut agreed: Option<StoredEntry> = None;
        for server in self.mode.route(key.entry()).writes {
            let Some(stored) = inspect(self.client(*server), key).await? else {
                return Ok(None);
            };
            agreed = Some(match agreed {
                None => stored,
                Some(known) => StoredEntry {
                    mark: known.mark.filter(|mark| stored.mark.as_ref() == Some(mark)),
                    remaining: match (known.remaining, stored.remaining) {
                        (Some(one), Some(other)) => Some(one.min(other)),
                        (one, other) => one.or(other),
                    },
                },
            });
        }
        Ok(agreed)
    }

    /// The clients of a route: one or two.
    fn targets(&self, servers: &[Server]) -> (&Client, Option<&Client>) {
        match servers {
            [one, other, ..] => (self.client(*one), Some(self.client(*other))),
            [one] => (self.client(*one), None),
            [] => (&self.shared, None),
        }
    }
}

/// Waits for one or two calls at the same time; both are made even if one fails.
async fn each<T>(
    one: impl Future<Output = Result<T, RedisError>>,
    other: Option<impl Future<Output = Result<T, RedisError>>>,
) -> Result<(T, Option<T>), RedisError> {
    let Some(other) = other else {
        return Ok((one.await?, None));
    };
    let (one, other) = tokio::join!(one, other);
    Ok((one?, Some(other?)))
}

impl EntryCache for RedisEntries {
    fn get<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        Box::pin(async move { Ok(self.read(key).await?) })
    }

    fn get_etag<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        Box::pin(async move { Ok(self.read_etag(key).await?) })
    }

    fn get_both<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<StoredPair, TierError>> {
        Box::pin(async move { Ok(self.read_both(key).await?) })
    }

    fn inspect<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<StoredEntry>, TierError>> {
        Box::pin(async move { Ok(self.inspect_all(key).await?) })
    }

    fn put<'a>(&'a self, key: &'a EntryKey, write: EntryWrite) -> BoxFuture<'a, Result<(), TierError>> {
        Box::pin(async move {
            let (one, other) = self.targets(self.mode.route(key.entry()).writes);
            let other = other.map(|client| put(client, key, &write));
            each(put(one, key, &write), other).await?;
            Ok(())
        })
    }

    fn delete<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<(), TierError>> {
        Box::pin(async move {
            let (one, other) = self.targets(self.mode.route(key.entry()).writes);
            each(delete(one, key), other.map(|client| delete(client, key))).await?;
            Ok(())
        })
    }

    fn repair<'a>(&'a self, key: &'a EntryKey, write: EntryWrite) -> BoxFuture<'a, Result<bool, TierError>> {
        Box::pin(async move {
            let (one, other) = self.targets(self.mode.route(key.entry()).repairs);
            let other = other.map(|client| repair(client, key, &write));
            let (one, other) = each(repair(one, key, &write), other).await?;
            Ok(one || other == Some(true))
        })
    }
}

/// On the primary: what a replica that lags shows must not decide whether to write.
async fn inspect(client: &Client, key: &EntryKey) -> Result<Option<StoredEntry>, RedisError> {
    let mut both = pipe();
    let marked = if key.entry().has_etag() {
        key.redis_etag()
    } else {
        key.redis()
    };
    both.cmd("GET").arg(marked);
    both.cmd("PTTL").arg(key.redis());
    let (mark, remaining_ms): (Option<Bytes>, i64) = client.transaction(&mut both).await?;
    Ok(match remaining_ms {
        // -2: no such key, -1: it does not expire.
        -2 => None,
        _ => Some(StoredEntry {
            mark,
            remaining: u64::try_from(remaining_ms).ok().map(Duration::from_millis),
        }),
    })
}

async fn put(client: &Client, key: &EntryKey, write: &EntryWrite) -> Result<(), RedisError> {
    let lifetime_ms = u64::try_from(write.ttl.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut both = pipe();
    both.cmd("SET")
        .arg(key.redis())
        .arg(write.payload.as_ref())
        .arg("PX")
        .arg(lifetime_ms);
    match &write.etag {
        Some(etag) => both
            .cmd("SET")
            .arg(key.redis_etag())
            .arg(etag.as_ref())
            .arg("PX")
            .arg(lifetime_ms),
        None => both.cmd("DEL").arg(key.redis_etag()),
    };
    client.transaction::<()>(both.ignore()).await?;
    if write.tracked
        && let Some(set) = key.entry().expiry_set()
    {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires = now.as_secs().saturating_add(write.ttl.as_secs());
        let mut add = cmd("ZADD");
        add.arg(set).arg(expires).arg(key.member());
        // The entry is there; Django merely refreshes it later (2.7).
        drop(client.write::<()>(&add).await);
    }
    Ok(())
}

async fn delete(client: &Client, key: &EntryKey) -> Result<(), RedisError> {
    let mut delete = cmd("DEL");
    delete.arg(key.redis()).arg(key.redis_etag());
    client.write::<()>(&delete).await?;
    if let Some(set) = key.entry().expiry_set() {
        let mut remove = cmd("ZREM");
        remove.arg(set).arg(key.member());
        drop(client.write::<()>(&remove).await);
    }
    Ok(())
}

async fn repair(client: &Client, key: &EntryKey, write: &EntryWrite) -> Result<bool, RedisError> {
    let lifetime_seconds = write.ttl.as_secs().max(1);
    let mut set = cmd("SET");
    set.arg(key.redis())
        .arg(write.payload.as_ref())
        .arg("NX")
        .arg("EX")
        .arg(lifetime_seconds);
    let won: Option<String> = client.write(&set).await?;
    if won.is_none() {
        return Ok(false);
    }
    if let Some(etag) = &write.etag {
        let mut set = cmd("SET");
        set.arg(key.redis_etag())
            .arg(etag.as_ref())
            .arg("EX")
            .arg(lifetime_seconds);
        client.write::<()>(&set).await?;
    }
    Ok(true)
}
