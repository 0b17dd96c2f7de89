//! Feature flag evaluation server: answers `/flags` and `/decide` for PostHog SDKs.
//!
//! Modules stand in the order in which a request passes them.
#![deny(unsafe_code)]

pub mod collector;
pub mod config;
pub mod processors;
pub mod server;

pub mod http;
pub mod limit;
pub mod wire;

pub mod auth;
pub mod hypercache;
pub mod snapshot;

pub mod context;
pub mod engine;
pub mod evaluation;

pub mod canary;
pub mod definition;
pub mod quota;
pub mod resilience;
pub mod span;
pub mod store;
pub mod telemetry;

pub mod recorder;
pub mod recording;
pub mod replay;
