//! Redis: the first tier of the entries, notice of their changes, and the state of cookieless identities.
//!
//! `endpoint.rs` is one server, `client.rs` a primary with its replica, `mode.rs` the choice between shared and dedicated
//! Redis, `tracking.rs` the pushes. Constructors take plain values: nothing here knows the settings.

mod auth;
mod backoff;
mod client;
mod cookieless;
mod cookieless_port;
mod endpoint;
mod entries;
mod error;
mod examine;
mod feed;
mod metrics;
mod mode;
mod queue;
mod quota;
mod rebuild;
mod span;
mod tracking;
mod url;
mod usage;

pub use auth::{RedisCredentials, note_key_use};
pub use client::{COOKIELESS, Client, ClientNames, ClientUrls, DEDICATED, ReaderWithoutWriter, SHARED};
pub use cookieless::{CookielessStore, SALT_TTL, SaltError};
pub use endpoint::{Endpoint, EndpointSettings, EndpointState};
pub use entries::RedisEntries;
pub use error::RedisError;
pub use examine::{RedisUse, examine};
pub use mode::{Mode, Route, Server};
pub use queue::{ChangeQueue, Changes};
pub use quota::{RedisLimits, set_quota_limits};
pub use rebuild::RedisRebuilds;
pub use tracking::{Tracker, TrackingSettings};
pub use url::ServerUrl;
pub use usage::RedisUsage;
