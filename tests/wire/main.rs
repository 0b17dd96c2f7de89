//! Literal bytes over TCP in, bytes out. A new test goes to the module that names what it observes.

mod bodies;
mod client;
mod command;
mod connections;
mod cors;
mod harness;
mod http2;
mod query;
mod routes;
mod shutdown;
