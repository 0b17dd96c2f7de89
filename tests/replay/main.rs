//! Recording and replaying with real processes over TCP.

#[path = "../wire/client.rs"]
#[allow(dead_code, reason = "wire tests use more of it")]
mod client;

mod bounds;
mod differences;
mod hostile;
mod latency;
mod redaction;
mod replaying;
mod same;
mod server;
mod switch;
mod traffic;
