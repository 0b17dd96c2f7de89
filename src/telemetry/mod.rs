//! Health, metrics, and what a request says of itself.
//!
//! A request fills a [`RequestNote`] on its way; at its end the note is counted ([`RequestMetrics`]) and logged.

mod health;
mod http;
pub mod log;
pub mod metrics;
mod note;
mod requests;
mod teams;
pub mod trace;

pub use health::{
    CheckProblem, CheckReport, Heartbeat, LivenessStatus, Readiness, ReadinessGate, StoreCheck,
};
pub use http::PathLabel;
pub use note::{
    AdmissionTimes, ID_BYTES_MAX, NoteFields, NoteLoan, RequestNote, Stage, StageTimes, TeamCache, TextField,
    Texts, USER_AGENT_CHARS_MAX, VERSION_BYTES_MAX,
};
pub use requests::{Ending, RequestMetrics};
pub use teams::{TeamSlot, TeamTable};
