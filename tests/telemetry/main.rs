//! What operators see of a running process: `/metrics` and the log. Real processes, because both belong to a process.

mod catalogue;
#[path = "../wire/client.rs"]
#[allow(dead_code, reason = "shared with the wire tests")]
mod client;
mod exposition;
mod log;
mod metrics;
mod process;
