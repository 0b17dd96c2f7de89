//! Health and metrics.

mod health;
pub mod metrics;

pub use health::{Heartbeat, LivenessStatus, Readiness, ReadinessGate, StoreCheck};
