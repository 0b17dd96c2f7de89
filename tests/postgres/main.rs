//! The PostgreSQL store against real servers: every query, its cost, and what failing servers do to callers.

mod continuity;
mod definitions;
mod facts;
mod load;
mod outage;
mod reasons;
mod server;
mod tls;
