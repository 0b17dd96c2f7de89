//! The `feature-flags` command.
#![deny(unsafe_code)]

mod cli;
mod command;

use std::process::ExitCode;

/// Requests allocate little, but what they do allocate is small and short-lived, on every core at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(command) => command::run(command),
        Err(error) => {
            eprintln!("feature-flags: {error}\nTry 'feature-flags --help'.");
            ExitCode::from(command::usage_code(std::env::args_os().nth(1).as_deref()))
        }
    }
}
