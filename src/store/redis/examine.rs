//! Whether a Redis server can be used as the settings say: over a connection of its own, so that nothing is retried or held back.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, cmd};

use super::{RedisError, ServerUrl};
use crate::store::examination::{Obstacle, Sound};

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisUse {
    /// Entries, salts or counts are written to it.
    pub writes: bool,
    /// Changes of its keys are listened to.
    pub tracking: bool,
}

/// Looks at a server.
///
/// # Errors
/// With the first thing that is in the way. It has no time limit of its own.
pub async fn examine(url: &ServerUrl, wanted: RedisUse) -> Result<Sound, Obstacle> {
    let mut connection = url
        .connect(AsyncConnectionConfig::new().set_response_timeout(None), None)
        .await
        .map_err(obstacle)?;
    ask::<()>(&mut connection, &["PING"]).await.map_err(obstacle)?;
    let mut sound = Sound {
        what: "Redis".to_owned(),
        ..Sound::default()
    };
    // The server may forbid INFO; then only tracking's heartbeat misses it.
    match ask::<String>(&mut connection, &["INFO"]).await {
        Ok(info) => {
            let field = |name: &str| {
                let mut lines = info.lines().filter_map(|line| line.split_once(':'));
                lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
            };
            let (version, role) = (field("redis_version"), field("role"));
            if let Some(version) = version {
                sound.what = format!("Redis {version}");
            }
            if role == Some("slave") {
                if wanted.writes {
                    return Err(Obstacle::ReadOnly("it is a replica".to_owned()));
                }
                sound.what.push_str(", replica");
            }
        }
        Err(error) if wanted.tracking => sound
            .remarks
            .push(format!("INFO is refused, changes cannot be followed: {error}")),
        Err(_) => {}
    }
    if wanted.tracking {
        // Needs the same permission as ON, and changes nothing.
        if let Err(error) = ask::<()>(&mut connection, &["CLIENT", "TRACKING", "OFF"]).await {
            sound.remarks.push(format!(
                "CLIENT TRACKING is refused, changes are seen by age alone: {error}"
            ));
        }
    }
    sound.clock_distance = clock_distance(&mut connection).await;
    Ok(sound)
}

/// How far the server's clock is from ours, less what the question took.
async fn clock_distance(connection: &mut MultiplexedConnection) -> Option<Duration> {
    let since_epoch = || SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let before = since_epoch()?;
    let (seconds, microseconds): (u64, u64) = ask(connection, &["TIME"]).await.ok()?;
    let after = since_epoch()?;
    let theirs = Duration::from_secs(seconds) + Duration::from_micros(microseconds);
    if theirs < before {
        Some(before - theirs)
    } else {
        Some(theirs.saturating_sub(after))
    }
}

async fn ask<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&str],
) -> Result<T, RedisError> {
    let (first, rest) = words
        .split_first()
        .ok_or(RedisError::Unavailable(Cow::Borrowed("no command")))?;
    let mut command = cmd(first);
    rest.iter().for_each(|word| {
        command.arg(word);
    });
    command
        .query_async(connection)
        .await
        .map_err(|error| RedisError::from_client(&error))
}

fn obstacle(error: RedisError) -> Obstacle {
    match error {
        RedisError::Denied(detail) => {
            let says = |code: &str| detail.contains(code);
            if says("NOAUTH") {
                Obstacle::NoCredentials("the server wants a password".to_owned())
            } else if says("WRONGPASS") || says("invalid password") || says("AuthenticationFailed") {
                Obstacle::WrongCredentials("the server refuses user and password".to_owned())
            } else if says("NOPERM") {
                Obstacle::NotPermitted(detail)
            } else {
                Obstacle::Other(detail)
            }
        }
        RedisError::Unavailable(detail) => Obstacle::Unreachable(detail.into_owned()),
        RedisError::Timeout => Obstacle::Unreachable("timed out".to_owned()),
        RedisError::Reply(detail) | RedisError::Protocol(detail) => Obstacle::Other(detail),
    }
}
