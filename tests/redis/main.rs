//! The Redis store against real servers that die, hang and come back.

#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "../support/counters.rs"]
mod counters;
mod entries;
mod metrics;
mod outage;
mod quota;
#[path = "../support/servers.rs"]
mod servers;
mod setup;
mod tracking;
mod usage;
