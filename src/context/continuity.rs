//! Experience continuity: which hash keys a person was first seen with (`evaluation.md` 7.3 to 7.6).

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use metrics::{Counter, counter};

use super::port::{ContinuityReadFrom, GatherError, PersonSource};
use crate::resilience::RetryBudget;
use crate::snapshot::BoxFuture;

/// Longest ceiling of a pause (`evaluation.md` 7.5).
const PAUSE_MAX: Duration = Duration::from_millis(300);

/// Reading overrides: 3 retries, base 50 ms (`evaluation.md` 7.5).
const READ: Schedule = Schedule {
    retries: 3,
    base_ms: 50,
};

/// Should-write check and write: 2 retries, base 100 ms (`evaluation.md` 7.5).
const WRITE: Schedule = Schedule {
    retries: 2,
    base_ms: 100,
};

/// Resolved by the first write, long after start.
static WRITES: LazyLock<Counter> = LazyLock::new(|| counter!("flags_flag_hash_key_writes_total"));

/// Label `operation` of `flags_hash_key_retries_total` (`storage.md` 5.9).
static CHECK: LazyLock<Counter> = LazyLock::new(|| retried("should_write_hash_key_override"));
static SET: LazyLock<Counter> = LazyLock::new(|| retried("set_hash_key_overrides"));
static GET: LazyLock<Counter> = LazyLock::new(|| retried("get_hash_key_overrides"));

fn retried(operation: &'static str) -> Counter {
    counter!("flags_hash_key_retries_total", "operation" => operation)
}

/// Whose overrides a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContinuityQuery<'a> {
    /// Owner of every row that may be read or written.
    pub team_id: i32,
    /// The request's distinct id; its person has priority.
    pub distinct_id: &'a str,
    /// The anonymous distinct id, recorded as hash key where none is.
    pub anon_distinct_id: Option<&'a str>,
    /// Keys of the team's active continuity flags: what gets a row. Not looked at without an anonymous id.
    pub flag_keys: &'a [&'a str],
    /// False in read-only mode (`SKIP_WRITES`): nothing is checked or written.
    pub writes_allowed: bool,
}

/// Waits between attempts. A parameter, so that tests see the ceilings and wait for nothing.
pub trait Pause: Send + Sync {
    /// Waits for a random share of `ceiling`.
    fn pause(&self, ceiling: Duration) -> BoxFuture<'_, ()>;
}

/// What attempts after the first cost.
#[derive(Clone, Copy)]
pub struct Retries<'a> {
    /// Waits before each.
    pub pause: &'a dyn Pause,
    /// Shared by everything in the process that retries: an outage must not multiply the load that meets it.
    pub budget: &'a RetryBudget,
}

/// Waits by tokio's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct JitteredPause;

impl Pause for JitteredPause {
    fn pause(&self, ceiling: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(ceiling.mul_f64(random_share())))
    }
}

/// From 0 up to, not including, 1. Spreads retries; nothing secret depends on it.
fn random_share() -> f64 {
    // Each RandomState has keys of its own, so the hash of a constant is a fresh number. The upper 53
    // bits fill a double's mantissa exactly.
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// Checks, writes if needed, and reads: flag key and hash key, one entry a key.
///
/// # Errors
/// With the last error of the step that failed after its retries: then there are no overrides.
pub async fn gather_continuity(
    source: &dyn PersonSource,
    query: ContinuityQuery<'_>,
    retries: Retries<'_>,
) -> Result<Vec<(String, String)>, GatherError> {
    let Some(anon_distinct_id) = query.anon_distinct_id else {
        return read(
            source,
            query.team_id,
            &[query.distinct_id],
            ContinuityReadFrom::Reader,
            retries,
        )
        .await;
    };
    let targets = [query.distinct_id, anon_distinct_id];
    let mut from = ContinuityReadFrom::Reader;
    if query.writes_allowed {
        let check = || source.continuity_write_needed(query.team_id, &targets, query.flag_keys);
        if retry(WRITE, &CHECK, retries, check).await? {
            let write =
                || source.write_continuity(query.team_id, &targets, query.flag_keys, anon_distinct_id);
            retry(WRITE, &SET, retries, write).await?;
            WRITES.increment(1);
            // A replica may not have the rows yet, also when the write found nothing left to insert.
            from = ContinuityReadFrom::Writer;
        }
    }
    read(source, query.team_id, &targets, from, retries).await
}

async fn read(
    source: &dyn PersonSource,
    team_id: i32,
    targets: &[&str],
    from: ContinuityReadFrom,
    retries: Retries<'_>,
) -> Result<Vec<(String, String)>, GatherError> {
    retry(READ, &GET, retries, || {
        source.read_continuity(team_id, targets, from)
    })
    .await
}

/// How often, and how long before each.
#[derive(Clone, Copy)]
struct Schedule {
    retries: u32,
    base_ms: u64,
}

impl Schedule {
    /// The base to the power of the attempt, capped.
    fn ceiling(self, retry: u32) -> Duration {
        Duration::from_millis(self.base_ms.saturating_pow(retry)).min(PAUSE_MAX)
    }
}

/// Retries what may pass (`storage.md` 5.5), as long as the budget lasts.
async fn retry<'a, T, F>(
    schedule: Schedule,
    retried: &LazyLock<Counter>,
    retries: Retries<'_>,
    mut attempt: F,
) -> Result<T, GatherError>
where
    F: FnMut() -> BoxFuture<'a, Result<T, GatherError>>,
{
    retries.budget.earn();
    for retry in 1..=schedule.retries {
        match attempt().await {
            Err(error) if error.is_retryable() && retries.budget.spend() => {
                retried.increment(1);
                retries.pause.pause(schedule.ceiling(retry)).await;
            }
            settled => return settled,
        }
    }
    attempt().await
}

#[cfg(test)]
mod tests;
