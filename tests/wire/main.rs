//! Literal bytes over TCP in, bytes out. A new test goes to the module that names what it observes.

#[path = "../support/counters.rs"]
mod counters;

mod bodies;
mod client;
mod command;
mod config;
mod connections;
mod continuity;
mod cookieless;
mod cors;
mod definitions;
mod fairness;
mod flags;
mod geoip;
mod golden;
mod golden_bytes;
mod harness;
mod hostile;
mod http2;
mod limits;
#[path = "../support/geoip.rs"]
mod mmdb;
mod pipelining;
mod query;
mod quota;
mod rate_limits;
mod routes;
mod shutdown;
mod usage;
