//! Adapters: the only place that knows database clients.

pub mod embedded;
