//! Compile and evaluate: pure, synchronous, no I/O.
pub mod value;

/// The runtime that a request speaks for (`evaluation.md` section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestRuntime {
    /// Explicitly everything.
    All,
    /// Browsers and mobile apps.
    Client,
    /// Back ends.
    Server,
}
