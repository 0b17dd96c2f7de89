//! PostgreSQL: persons, groups, continuity rows and the definitions behind the caches (`storage.md` 5).
//!
//! Start with `pools.rs` for which database answers what and `pool.rs` for how a connection is had. Queries are in
//! `person.rs`, `continuity.rs` and `definitions.rs`. What a failure means to a request is decided by the callers.

mod any_certificate;
mod chain_only;
mod connection;
mod continuity;
mod definitions;
mod error;
mod examine;
mod exchange;
pub mod import;
mod keys;
mod lease;
mod manager;
mod metrics;
mod person;
mod pool;
mod pools;
mod rows;
mod span;
mod tables;
mod timestamp;
mod tls;
mod trial;
mod url;

pub use definitions::PostgresDefinitions;
pub use error::{ErrorClass, PostgresError};
pub use examine::{DatabaseUse, examine};
pub use keys::PostgresKeys;
pub use person::PostgresPersons;
pub use pool::{Pool, PoolSettings, PoolStats, ping};
pub use pools::{OpenError, Pools, PoolsSettings};
pub use tls::TlsError;
pub use url::{PostgresUrl, TlsMode, UrlError};
