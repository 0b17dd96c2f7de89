//! Immutable per-team state, how it is held and kept fresh, and the port that it is loaded through.
//!
//! `map.rs` answers requests; `tiered.rs` loads a project, `flight.rs`
//! loads each token once at a time; `follow.rs` hears of changes; `push.rs` knows how
//! far announcements can be trusted. `feed.rs` holds what `/flags/definitions` passes on, by the same map.

mod entry;
pub mod feed;
mod flight;
mod follow;
mod held;
mod inputs;
mod map;
mod metrics;
mod negative;
mod port;
mod project;
pub mod push;
mod tiered;
mod timed;

pub use follow::Follower;
pub use inputs::DatabaseInputs;
pub use map::{LookupError, SnapshotMap, SnapshotSettings};
pub use port::{
    BoxFuture, Changed, Changes, Found, Held, HeldSource, LoadError, Loaded, LoadedProject, ProjectSource,
    Tier, Validity,
};
pub use project::{KnownInputs, ProjectSnapshot, Tags};
pub use push::{Epochs, PushClock};
pub use tiered::{ChangeFeed, TieredSettings, TieredSource};
pub use timed::TimedCacheStats;
