//! The Redis store against real servers that die, hang and come back.

mod entries;
mod outage;
mod quota;
#[path = "../support/servers.rs"]
mod servers;
mod setup;
mod tracking;
mod usage;
