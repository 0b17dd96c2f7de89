//! The reference interpreter held to the worked examples and tables of the specification.

#[path = "reference/mod.rs"]
mod reference;

#[path = "reference_selftest/generated.rs"]
mod generated;
#[path = "reference_selftest/golden.rs"]
mod golden;
#[path = "reference_selftest/tables.rs"]
mod tables;
