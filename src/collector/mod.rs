//! How traces reach an OpenTelemetry collector: OTLP over gRPC or over HTTP, plain or with TLS.
//!
//! `address.rs` is where it is and how it is spoken to, `connection.rs` one connection, `client.rs` an export over it, `grpc.rs`
//! and `http.rs` what each protocol makes of a message and of an answer. It does not know what a message says, and does
//! not try again: `telemetry` does both.

mod address;
mod client;
mod connection;
mod grpc;
mod http;

pub use address::{Address, AddressError, Protocol};
pub use client::OtlpClient;
