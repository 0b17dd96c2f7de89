//! Storage ports: one suite of rules, run over every store that implements them.

mod embedded;
#[path = "../support/load.rs"]
mod load;
mod suite;
