//! The table of a run, and the bounds in time that its rows are held to.

use std::fs::File;
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// `REQUEST_TIMEOUT_MS`: no request takes longer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_millis(4500);

/// `PERSONS_DB_DEADLINE_MS`.
pub const PERSONS_DEADLINE: Duration = Duration::from_millis(2500);

/// `REDIS_RESPONSE_TIMEOUT_MS`: one command to one server.
pub const REDIS_COMMAND: Duration = Duration::from_millis(100);

/// The whole S3 step of one entry (`storage.md` 2.8).
pub const S3_STEP: Duration = Duration::from_secs(3);

/// `SNAPSHOT_LOAD_WAIT_MS`.
pub const LOAD_WAIT: Duration = Duration::from_millis(200);

/// What an answer takes that waits for nobody. Generous: what is asserted is the absence of a time limit, not speed.
pub const AT_ONCE: Duration = Duration::from_millis(100);

/// Promises are held with a margin of three (`decisions.md` 20), but never beyond the request's own limit.
pub fn bound(promise: Duration) -> Duration {
    (promise * 3).min(REQUEST_TIMEOUT + Duration::from_secs(1))
}

static TABLE: LazyLock<Mutex<File>> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/failure-matrix.txt");
    Mutex::new(File::create(path).expect("the table"))
});

/// Adds a row.
pub fn row(situation: &str, answer: &str, took: Duration) {
    let line = format!("{situation:<72} | {answer:<44} | {:>5} ms\n", took.as_millis());
    print!("{line}");
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    table.write_all(line.as_bytes()).expect("the table");
}
