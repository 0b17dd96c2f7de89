//! `feature-flags check` on real servers, and what a start says of the same set-ups.
//!
//! Each broken set-up has a file in `golden/` with the whole table and the exit status. `BLESS=1` writes them anew.

mod golden;
mod healthcheck;
#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "../support/geoip.rs"]
mod mmdb;
#[path = "../support/object_storage.rs"]
mod object_storage;
#[path = "../support/servers.rs"]
mod servers;
mod settings;
mod start;
mod world;
