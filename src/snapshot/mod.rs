//! Immutable per-team state, and the read port that it is loaded through.

mod port;
pub use port::{BoxFuture, LoadError, ProjectSource};
