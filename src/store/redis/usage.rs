//! Usage counts in Redis (`storage.md` 6.6), written exactly once.
//!
//! A reply that does not come says nothing of what the server did: it may even run the command minutes later, when it is
//! resumed. So a batch is one script that first looks for a marker of the batch, and sets it together with the counts. However
//! often a batch is sent, it counts once, as long as the marker lives.
//!
//! Where the server does not let us run scripts, a batch is a transaction, and one whose reply is lost is never sent again:
//! usage that is billed twice is worse than usage that is not.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{Cmd, Value, cmd, pipe};

use super::{Client, RedisError};
use crate::hypercache::BoxFuture;
use crate::quota::{Applied, ApplyError, Batch, DOUBT_MAX, UsageSink};

/// Begins the names of markers. Below Django's own prefix, so that permissions by pattern cover them.
const MARKER_PREFIX: &str = "posthog:feature_flags_usage_batch:";

/// How long a marker lives: longer than a batch is repeated, and than a command may be on its way.
const MARKER_TTL: Duration = Duration::from_secs(60 * 60);
const _: () = assert!(MARKER_TTL.as_secs() > DOUBT_MAX.as_secs());

/// Longest wait for a reply where settings have no limit for it.
const REPLY_MAX: Duration = Duration::from_secs(10);

/// The marker's value is the reply: positions of the keys that could not be counted up. Every write but the first is tried
/// for itself, because what a script has done before an error stays done.
const SCRIPT: &str = "\
local done = redis.call('GET', KEYS[1])
if done then return done end
redis.call('SET', KEYS[1], '', 'EX', ARGV[1])
local refused = {}
for i = 2, #KEYS do
  local reply = redis.pcall('HINCRBY', KEYS[i], ARGV[2 * i - 2], ARGV[2 * i - 1])
  if type(reply) == 'table' and reply.err then refused[#refused + 1] = i - 2 end
end
local reply = table.concat(refused, ',')
if reply ~= '' then redis.call('SET', KEYS[1], reply, 'EX', ARGV[1]) end
return reply";

/// Usage counts on the primary of the shared Redis.
#[derive(Debug)]
pub struct RedisUsage {
    client: Arc<Client>,
    /// The server has refused scripts.
    without_scripts: AtomicBool,
}

impl RedisUsage {
    /// On the shared client.
    #[must_use]
    pub fn new(client: Arc<Client>) -> Self {
        Self {
            client,
            without_scripts: AtomicBool::new(false),
        }
    }

    async fn write(&self, batch: &Batch) -> Result<Applied, ApplyError> {
        if !self.without_scripts.load(Ordering::Relaxed) {
            match self.run_script(batch).await {
                Err(error) if refuses_scripts(&error) => self.without_scripts.store(true, Ordering::Relaxed),
                Ok(refused) => {
                    let keys = refused.split(',').filter_map(|key| key.parse().ok());
                    return Ok(applied(keys));
                }
                Err(error) if not_applied(&error) => return Err(ApplyError::NotApplied(error.to_string())),
                Err(error) => return Err(ApplyError::InDoubt(error.to_string())),
            }
        }
        if batch.in_doubt {
            let detail = "scripts are refused, and an earlier attempt may have counted";
            return Err(ApplyError::Lost(detail.to_owned()));
        }
        self.run_transaction(batch).await
    }

    async fn run_script(&self, batch: &Batch) -> Result<String, RedisError> {
        within_limit(self.client.write::<String>(&script(batch))).await
    }

    /// `MULTI` and `EXEC` as plain commands of one pipeline: each has a reply of its own, so that what a refusal means is certain.
    async fn run_transaction(&self, batch: &Batch) -> Result<Applied, ApplyError> {
        let mut commands = pipe();
        commands.ignore_errors().cmd("MULTI");
        for (hash, field, count) in writes(batch) {
            commands.cmd("HINCRBY").arg(hash).arg(field).arg(count);
        }
        commands.cmd("EXEC");
        let sent = self.client.writer().pipeline::<Vec<Value>>(&commands);
        let mut replies = match within_limit(sent).await {
            Ok(replies) => replies,
            Err(error) if not_applied(&error) => return Err(ApplyError::NotApplied(error.to_string())),
            Err(error) => return Err(ApplyError::Lost(error.to_string())),
        };
        match replies.pop() {
            Some(Value::Array(replies)) => {
                let keys = replies.iter().enumerate();
                let refused = keys.filter(|(_, reply)| matches!(reply, Value::ServerError(_)));
                Ok(applied(refused.map(|(key, _)| key)))
            }
            Some(Value::ServerError(error)) => Err(ApplyError::NotApplied(format!("{error:?}"))),
            reply => Err(ApplyError::NotApplied(format!(
                "unexpected reply to EXEC: {reply:?}"
            ))),
        }
    }
}

impl UsageSink for RedisUsage {
    fn apply<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Applied, ApplyError>> {
        Box::pin(self.write(batch))
    }
}

fn script(batch: &Batch) -> Cmd {
    let mut marker = String::with_capacity(MARKER_PREFIX.len() + batch.id.len());
    let _ = write!(marker, "{MARKER_PREFIX}{}", batch.id);
    let mut eval = cmd("EVAL");
    eval.arg(SCRIPT).arg(1 + 2 * batch.increments.len()).arg(marker);
    for (hash, _, _) in writes(batch) {
        eval.arg(hash);
    }
    eval.arg(MARKER_TTL.as_secs());
    for (_, field, count) in writes(batch) {
        eval.arg(field).arg(count);
    }
    eval
}

/// Hash, field and count of each command: two an increment, side by side.
fn writes(batch: &Batch) -> impl Iterator<Item = (String, u64, u64)> {
    batch.increments.iter().flat_map(|increment| {
        let (field, count) = (increment.bucket.0, increment.count);
        let key = increment.key;
        [
            (key.team_hash(), field, count),
            (key.library_hash(), field, count),
        ]
    })
}

/// From positions of commands to those of increments.
fn applied(keys: impl Iterator<Item = usize>) -> Applied {
    let mut refused: Vec<usize> = keys.map(|key| key / 2).collect();
    refused.dedup();
    Applied { refused }
}

/// Whether the server was heard to have done nothing, or was not asked.
fn not_applied(error: &RedisError) -> bool {
    !error.was_sent() || matches!(error, RedisError::Reply(_) | RedisError::Denied(_))
}

/// Not allowed to run scripts, or not on this key, or the command is renamed.
fn refuses_scripts(error: &RedisError) -> bool {
    match error {
        RedisError::Denied(detail) => detail.contains("NOPERM") || detail.contains("NoPerm"),
        RedisError::Reply(detail) => detail.to_ascii_lowercase().contains("unknown command"),
        _ => false,
    }
}

async fn within_limit<T>(reply: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    tokio::time::timeout(REPLY_MAX, reply)
        .await
        .unwrap_or(Err(RedisError::Timeout))
}
