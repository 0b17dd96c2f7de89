//! Immutable per-team state, how it is held, and the read port that it is loaded through.

mod map;
mod negative;
mod port;
mod project;
mod push;

pub use map::{LookupError, SnapshotMap, SnapshotSettings};
pub use port::{BoxFuture, LoadError, ProjectSource};
pub use project::ProjectSnapshot;
pub use push::{Epochs, PushClock};
