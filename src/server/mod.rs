//! Accept loop, connection settings, drain.
//!
//! One multi-thread runtime (`runtime.rs`); `ARCHITECTURE.md` says what else was measured. Connections are watched from outside
//! (`watch.rs`): no timer is armed and no lock is taken for a request.

mod connection;
mod counted;
mod listener;
mod registry;
pub mod runtime;
mod signal;
mod watch;

pub use listener::{Drained, Server};
pub use signal::Signals;
