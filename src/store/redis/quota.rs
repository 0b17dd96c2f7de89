//! Writes of quota limits, for imports (`storage.md` 6.5). Production's come from Django.

use std::time::Duration;

use redis::pipe;

use super::{Client, RedisError};

/// Resources that this service looks at, as a project document and as Redis names them.
const RESOURCES: [(&str, &str); 2] = [
    ("feature_flags", "@posthog/quota-limits/feature_flag_requests"),
    ("recordings", "@posthog/quota-limits/recordings"),
];

/// For how long an imported limit holds: about a billing period.
const PERIOD: Duration = Duration::from_secs(31 * 86_400);

/// Makes exactly these resources limited for a token. `now_seconds`: Unix time. The resources that have no place in Redis.
///
/// # Errors
/// When the primary gave no reply.
pub async fn set_quota_limits(
    client: &Client,
    token: &str,
    limited: &[String],
    now_seconds: u64,
) -> Result<Vec<String>, RedisError> {
    let mut pipeline = pipe();
    for (name, key) in RESOURCES {
        if limited.iter().any(|limited| limited == name) {
            pipeline.zadd(key, token, now_seconds + PERIOD.as_secs()).ignore();
        } else {
            pipeline.zrem(key, token).ignore();
        }
    }
    client.transaction::<()>(&mut pipeline).await?;
    let known = |name: &&String| RESOURCES.iter().any(|(known, _)| known == name);
    Ok(limited.iter().filter(|name| !known(name)).cloned().collect())
}
