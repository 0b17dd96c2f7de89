//! Routing; one file an endpoint; error to response.
//!
//! `route.rs` answers any request; `flags.rs` is the evaluation endpoint; `respond.rs` is the one place
//! that knows statuses and error texts. Connections, their limits in time and their end are `server`'s.

mod body;
mod cors;
pub mod flags;
mod minimal;
mod probes;
mod respond;
mod route;
mod unwind;

use std::net::IpAddr;
use std::time::Duration;

use hyper::HeaderMap;

pub use body::BODY_BYTES_MAX;
pub use respond::{Content, HttpError, Reply};
pub use route::handle;

use crate::config::{Config, ServiceMode};
use crate::limit::ConcurrencyLimit;
use crate::telemetry::{Heartbeat, ReadinessGate, StoreCheck};

/// What every request of a process shares.
pub struct AppState {
    /// Which routes exist.
    pub service_mode: ServiceMode,
    /// From the first look at a request on a flag route to its answer.
    pub request_timeout: Duration,
    /// For a body to arrive.
    pub body_read_timeout: Duration,
    /// Requests in the flag handlers at once.
    pub concurrency: ConcurrencyLimit,
    /// Beaten by the server, asked by `/_liveness`.
    pub heartbeat: Heartbeat,
    /// Closed by the server when it drains, asked by `/_readiness`.
    pub readiness: ReadinessGate,
}

impl AppState {
    /// State for a process with these settings; `stores` is asked by the readiness probe unless settings
    /// say otherwise.
    #[must_use]
    pub fn new(config: &Config, stores: Box<dyn StoreCheck>) -> Self {
        Self {
            service_mode: config.server.service_mode,
            request_timeout: config.concurrency.request_timeout,
            body_read_timeout: config.server.body_read_timeout,
            concurrency: ConcurrencyLimit::new(config.concurrency.max_concurrency),
            heartbeat: Heartbeat::new(config.telemetry.health_interval),
            readiness: ReadinessGate::new(config.server.readiness_checks_database.then_some(stores)),
        }
    }
}

/// One `POST` on a flag route, apart from its body. The query string has been checked.
#[derive(Debug, Clone, Copy)]
pub struct FlagsCall<'a> {
    /// All request headers.
    pub headers: &'a HeaderMap,
    /// Raw query string.
    pub query: Option<&'a str>,
    /// Whether the older shapes are asked for, by path or by header (`http.md` 9.1).
    pub is_decide: bool,
    /// Peer of the connection; the client's address is found by `http.md` 4.2.
    pub peer: IpAddr,
}
