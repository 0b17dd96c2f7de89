//! Storage ports: one suite of rules, run over every store that implements them, and what only one of them has.
//!
//! Connected stores are real: PostgreSQL and Redis are started by `scripts/servers`, S3 is served in this process. A machine
//! without the programs fails here; nothing is skipped.

mod config;
mod connected;
mod credentials;
mod definitions;
mod embedded;
mod entries;
mod inputs;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/geoip.rs"]
#[allow(dead_code, reason = "shared with tests of damaged files")]
mod mmdb;
mod monitor;
#[path = "../support/object_storage.rs"]
mod object_storage;
mod process;
mod serve;
#[path = "../support/servers.rs"]
mod servers;
mod stores;
mod suite;
mod tiers;
mod warm;
