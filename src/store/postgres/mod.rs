//! PostgreSQL: the tables of the production database.

pub mod import;
