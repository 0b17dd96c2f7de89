//! The `feature-flags` command.
fn main() {}
