//! The commands: start-up wiring and exit codes.

mod canary;
mod check;
mod config;
mod connected;
mod dev;
mod embedded;
mod geoip;
mod healthcheck;
mod import;
mod log;
mod monitors;
mod quota;
mod replay;
mod serve;
mod service;
mod settings;
mod start;
mod traces;
mod warm;

use std::fmt;
use std::process::ExitCode;

use crate::cli::Command;

/// Exit code for arguments or a command that cannot work as given.
pub const USAGE: u8 = 2;

/// Shown behind the version, so that nobody takes a build that is for tests for another.
const FAULT: &str = if cfg!(feature = "seeded-fault") {
    " (seeded fault)"
} else {
    ""
};

/// The exit code for wrong usage: `canary` says with 2 that it has too little data.
pub fn usage_code(command: Option<&std::ffi::OsStr>) -> u8 {
    if command.is_some_and(|name| name == "canary") {
        canary::UNREADABLE
    } else {
        USAGE
    }
}

/// Why a command failed: one message for the operator.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Says what was being done when `error` came.
    fn context(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Runs a command to its end.
pub fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Canary(arguments) => Ok(canary::run(&arguments)),
        Command::Check => check::run(),
        Command::Config(arguments) => config::run(&arguments),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::HealthCheck(arguments) => healthcheck::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Replay(arguments) => Ok(replay::run(&arguments)),
        Command::Serve => serve::run(),
        Command::Warm(arguments) => warm::run(&arguments),
        Command::Help(text) => {
            print!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Command::Version => {
            println!("feature-flags {}{}", env!("CARGO_PKG_VERSION"), FAULT);
            Ok(ExitCode::SUCCESS)
        }
    };
    log::flush();
    result.unwrap_or_else(|Failure(message)| {
        eprintln!("feature-flags: {message}");
        ExitCode::FAILURE
    })
}
