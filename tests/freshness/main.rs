//! Freshness of real processes on real stores: what is written to Redis is what every process answers, soon, without
//! Redis being asked for it (`decisions.md` 5 to 8, 20).

#[path = "../wire/client.rs"]
#[allow(dead_code, reason = "shared with the wire tests")]
mod client;
mod commands;
mod interrupted;
#[path = "../support/object_storage.rs"]
mod object_storage;
mod process;
mod push;
#[path = "../support/servers.rs"]
mod servers;
mod silent;
mod stamped;
mod unknown;
mod watch;
mod world;
