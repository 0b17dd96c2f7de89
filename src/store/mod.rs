//! Adapters: the only place that knows database clients. They implement the ports of `hypercache`, `snapshot` and `context`.

pub mod connected;
pub mod embedded;
pub mod examination;
pub mod geoip;
pub mod import;
pub mod postgres;
pub mod redis;
pub mod s3;
