//! Credentials in Redis (`storage.md` 7.4, 7.5): shared results on the dedicated server, and which keys were used of late.

use std::sync::Arc;

use bytes::Bytes;
use redis::cmd;

use super::{Client, RedisError};
use crate::auth::{KeyKind, SharedCredentials};
use crate::hypercache::{BoxFuture, pickle};

/// What the keys of shared results begin with; a hash follows.
pub(super) const AUTH_PREFIX: &str = "posthog:auth_token:";

/// Larger values are of no form that is known.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Seconds between two notes of one key's use.
const USE_SECONDS: u64 = 3600;

/// Reads shared results.
#[derive(Debug)]
pub struct RedisCredentials(Arc<Client>);

impl RedisCredentials {
    /// On the dedicated server: Django deletes there, and nowhere else.
    #[must_use]
    pub fn new(dedicated: Arc<Client>) -> Self {
        Self(dedicated)
    }
}

impl SharedCredentials for RedisCredentials {
    fn get<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let get = cmd("GET").arg(format!("{AUTH_PREFIX}{hash}")).to_owned();
            let stored: Result<Option<Bytes>, RedisError> = self.0.read(&get).await;
            stored
                .ok()
                .flatten()
                .filter(|stored| stored.len() <= VALUE_BYTES_MAX)
        })
    }
}

/// Notes that a key is in use. Whether this was the first note within an hour, among all processes.
///
/// # Errors
/// When the primary gave no reply.
pub async fn note_key_use(client: &Client, kind: KeyKind, key_id: &str) -> Result<bool, RedisError> {
    let prefix = match kind {
        KeyKind::Personal => "pak",
        KeyKind::ProjectSecret => "psak",
    };
    let mut set = cmd("SET");
    set.arg(format!("posthog:{prefix}_last_used:{key_id}"))
        .arg(pickle::encode("1"))
        .arg("NX")
        .arg("EX")
        .arg(USE_SECONDS);
    let done: Option<String> = client.write(&set).await?;
    Ok(done.is_some())
}
