//! Adapters: the only place that knows database clients. They implement the ports of `hypercache`, `snapshot` and `context`.

pub mod embedded;
pub mod redis;
