//! Routing; one file an endpoint; error to response.

pub mod client_address;
pub mod request_id;
pub mod user_agent;
