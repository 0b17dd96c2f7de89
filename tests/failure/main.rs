//! The failure matrix (`storage.md` 12), its `/flags` column: every test stops, pauses or corrupts a real part of a running
//! service and holds the answer, the time that it took, and that the service recovers without a restart.
//!
//! Each tier has a flag of its own in its definitions (`from_redis`, `from_s3`, ...), so that an answer shows where it came
//! from. A run writes what it saw to `target/failure-matrix.txt`.

mod answer;
mod chaos;
mod continuity;
mod corrupt;
mod definitions;
mod flood;
mod gate;
mod inputs;
mod objects;
mod pools;
mod postgres;
mod redis_away;
mod replica;
mod report;
mod rolling;
mod service;
mod stale;
mod start;
mod unknown;
mod usage;
mod world;

#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "../wire/client.rs"]
mod client;
#[path = "../support/object_storage.rs"]
mod object_storage;
#[path = "../support/servers.rs"]
mod servers;
