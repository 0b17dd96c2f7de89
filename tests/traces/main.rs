//! Traces, from a request to a collector that reads them with the official protocol definitions.

mod checked;
mod collector;
mod delivery;
mod process;
mod requests;
mod stores;
mod tls;

#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "../wire/client.rs"]
mod client;
#[path = "../support/object_storage.rs"]
mod object_storage;
#[path = "../support/servers.rs"]
mod servers;
