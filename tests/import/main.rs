//! Importing project documents into the embedded store and into PostgreSQL.

mod apply;
mod command;
mod crash;
mod database;
#[path = "../support/load.rs"]
mod load;
mod postgres;
mod refuse;
#[path = "../support/servers.rs"]
mod servers;
mod support;
