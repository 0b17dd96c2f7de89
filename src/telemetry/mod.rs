//! Health and metric names.

mod health;

pub use health::{Heartbeat, LivenessStatus, Readiness, ReadinessGate, StoreCheck};
