//! Notice of changed entries by client tracking (`decisions.md` 7), and proof that none has been missed.
//!
//! One connection of its own a server. Redis answers a command after the invalidations of everything that it did before it
//! read that command, so a reply proves the time at which its command was sent. A replica is proven only as far as it is
//! current itself: one without its primary proves nothing, and one that lags delivers late (Redis 7 holds the stream back
//! for up to a second after a full synchronisation).

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value, cmd};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::auth::AUTH_PREFIX;
use super::backoff::{Backoff, STABLE};
use super::{ChangeQueue, RedisError, ServerUrl};
use crate::auth::CredentialCache;
use crate::hypercache::EntryKey;

/// What the four entries' keys begin with.
const PREFIXES: [&str; 2] = ["posthog:1:cache/teams/", "posthog:1:cache/team_tokens/"];

/// A slow reply ends no epoch before this: every end makes all snapshots load again.
const REPLY_MIN: Duration = Duration::from_secs(1);

/// How a server is followed.
#[derive(Debug, Clone, Copy)]
pub struct TrackingSettings {
    /// Time between proofs: half the soft TTL, so that what is proven is never older than that.
    pub heartbeat: Duration,
    /// Limit of connecting; `None`: none.
    pub connection_timeout: Option<Duration>,
    /// Limit of a reply, raised to a second; `None`: a second.
    pub response_timeout: Option<Duration>,
}

impl TrackingSettings {
    fn reply_limit(&self) -> Duration {
        self.response_timeout.unwrap_or(REPLY_MIN).max(REPLY_MIN)
    }
}

/// Follows one server. Dropping it ends the connection and the epoch.
#[derive(Debug)]
pub struct Tracker {
    task: AbortHandle,
    server: usize,
    queue: Arc<ChangeQueue>,
    state: watch::Receiver<Option<RedisError>>,
}

impl Tracker {
    /// Starts to follow a server, the `server`-th of the queue's clock. Needs a tokio runtime.
    #[must_use]
    pub fn start(server: usize, url: ServerUrl, settings: TrackingSettings, queue: Arc<ChangeQueue>) -> Self {
        Self::start_with(server, url, settings, queue, None)
    }

    /// The same, and tells `credentials` of shared results of authentication that are deleted or replaced. While the server is
    /// not followed they only run out: nothing is forgotten at once because of that.
    #[must_use]
    pub fn start_with(
        server: usize,
        url: ServerUrl,
        settings: TrackingSettings,
        queue: Arc<ChangeQueue>,
        credentials: Option<Arc<CredentialCache>>,
    ) -> Self {
        let (sender, state) = watch::channel(Some(RedisError::Unavailable("not yet connected".into())));
        let heard = Heard {
            queue: Arc::clone(&queue),
            credentials,
        };
        let task = tokio::spawn(follow(server, url, settings, heard, sender)).abort_handle();
        Self {
            task,
            server,
            queue,
            state,
        }
    }

    /// `None` while changes are delivered, else why they are not.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<RedisError>> {
        self.state.clone()
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.task.abort();
        self.queue.clock().end(self.server);
    }
}

/// Who is told.
#[derive(Clone)]
struct Heard {
    queue: Arc<ChangeQueue>,
    credentials: Option<Arc<CredentialCache>>,
}

async fn follow(
    server: usize,
    url: ServerUrl,
    settings: TrackingSettings,
    heard: Heard,
    state: watch::Sender<Option<RedisError>>,
) {
    let mut backoff = Backoff::new();
    loop {
        let since = Instant::now();
        let error = match Session::open(&url, settings, &heard).await {
            Ok(session) => session.run(server, settings, &heard.queue, &state).await,
            Err(error) => error,
        };
        state.send_if_modified(|known| {
            let changed = known.is_none();
            *known = Some(error);
            changed
        });
        if since.elapsed() >= STABLE {
            backoff.reset();
        }
        sleep(backoff.wait()).await;
    }
}

/// One tracking connection.
struct Session {
    connection: MultiplexedConnection,
    signals: Arc<Signals>,
}

#[derive(Debug, Default)]
struct Signals {
    lost: Notify,
    /// All keys were dropped at once; on a replica that is how a full synchronisation begins, which names no key at its end.
    flushed: Notify,
}

/// What a heartbeat says about the server.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// A primary, or a replica that follows its primary.
    Current,
    /// A replica without its primary, or one that is being filled.
    Behind,
}

impl Session {
    async fn open(url: &ServerUrl, settings: TrackingSettings, heard: &Heard) -> Result<Self, RedisError> {
        let signals = Arc::new(Signals::default());
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(settings.reply_limit()))
            .set_push_sender({
                let (signals, heard) = (Arc::clone(&signals), heard.clone());
                move |push: PushInfo| -> Result<(), redis::aio::SendError> {
                    receive(&push, &signals, &heard);
                    Ok(())
                }
            });
        let mut connection = url.connect(config, settings.connection_timeout).await?;
        let mut tracking = cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in PREFIXES {
            tracking.arg("PREFIX").arg(prefix);
        }
        if heard.credentials.is_some() {
            tracking.arg("PREFIX").arg(AUTH_PREFIX);
        }
        tracking
            .query_async::<()>(&mut connection)
            .await
            .map_err(|error| RedisError::from_client(&error))?;
        Ok(Self { connection, signals })
    }

    /// Until the connection is lost. The epoch ends with it.
    async fn run(
        mut self,
        server: usize,
        settings: TrackingSettings,
        queue: &ChangeQueue,
        state: &watch::Sender<Option<RedisError>>,
    ) -> RedisError {
        let epoch = &mut Epoch {
            server,
            number: 0,
            queue,
        };
        loop {
            let sent = Instant::now();
            let standing = tokio::select! {
                standing = standing(&mut self.connection) => standing,
                () = self.signals.lost.notified() => return RedisError::Unavailable("connection lost".into()),
            };
            let pause = match standing {
                Ok(Standing::Current) => {
                    epoch.prove(sent);
                    state.send_if_modified(|known| known.take().is_some());
                    settings.heartbeat
                }
                Ok(Standing::Behind) => {
                    epoch.end();
                    state.send_if_modified(|known| {
                        known
                            .replace(RedisError::Unavailable("the replica has lost its primary".into()))
                            .is_none()
                    });
                    settings.heartbeat.min(REPLY_MIN)
                }
                Err(error) => return error,
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.signals.flushed.notified() => epoch.end(),
                () = self.signals.lost.notified() => return RedisError::Unavailable("connection lost".into()),
            }
        }
    }
}

async fn standing(connection: &mut MultiplexedConnection) -> Result<Standing, RedisError> {
    let info: String = cmd("INFO")
        .arg("replication")
        .query_async(connection)
        .await
        .map_err(|error| RedisError::from_client(&error))?;
    Ok(read_standing(&info))
}

/// One continuous period; ends when dropped.
struct Epoch<'q> {
    server: usize,
    /// 0: none.
    number: u64,
    queue: &'q ChangeQueue,
}

impl Epoch<'_> {
    fn prove(&mut self, proven: Instant) {
        if self.number == 0 {
            self.number = self.queue.clock().begin(self.server, proven);
            // What was missed before has no name.
            self.queue.everything_changed();
        } else {
            self.queue.delivered(self.server, self.number, proven);
        }
    }

    fn end(&mut self) {
        if self.number != 0 {
            self.number = 0;
            self.queue.clock().end(self.server);
            self.queue.everything_changed();
        }
    }
}

impl Drop for Epoch<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Called in the order in which the server wrote.
fn receive(push: &PushInfo, signals: &Signals, heard: &Heard) {
    match push.kind {
        PushKind::Disconnection => signals.lost.notify_one(),
        PushKind::Invalidate => match push.data.first() {
            Some(Value::Array(keys)) => {
                for key in keys {
                    let Value::BulkString(key) = key else { continue };
                    let Ok(key) = std::str::from_utf8(key) else {
                        continue;
                    };
                    if let (Some(hash), Some(credentials)) =
                        (key.strip_prefix(AUTH_PREFIX), &heard.credentials)
                    {
                        credentials.revoke(hash);
                    } else if let Some(key) = EntryKey::parse_redis(key) {
                        // Keys of other caches share the prefix.
                        heard.queue.changed(key);
                    }
                }
            }
            _ => {
                heard.queue.everything_changed();
                signals.flushed.notify_one();
            }
        },
        _ => {}
    }
}

fn read_standing(info: &str) -> Standing {
    let is = |line: &str| info.lines().any(|known| known.trim_end() == line);
    if is("role:master") || (is("role:slave") && is("master_link_status:up")) {
        Standing::Current
    } else {
        Standing::Behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_without_its_primary_proves_nothing() {
        let current = "# Replication\r\nrole:slave\r\nmaster_link_status:up\r\n";
        assert_eq!(read_standing(current), Standing::Current);
        let lost = "# Replication\r\nrole:slave\r\nmaster_link_status:down\r\n";
        assert_eq!(read_standing(lost), Standing::Behind);
        assert_eq!(
            read_standing("role:master\r\nconnected_slaves:1\r\n"),
            Standing::Current
        );
        assert_eq!(read_standing(""), Standing::Behind);
    }
}
