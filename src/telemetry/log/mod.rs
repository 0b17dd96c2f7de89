//! The process's log: a canonical line for each evaluation request (`http.md` 18), and messages of the process itself.
//!
//! A worker hands over a note of fixed size and goes on; what is written, and how, is decided on a thread of the log's own.
//! The hand-over is a bounded queue for each group of threads. When it is full, because whoever reads the log does not, lines
//! are dropped and counted: a request never waits for its log.
//!
//! `queue.rs` is the hand-over, `writer.rs` the thread, `line.rs` the fields of a request, `json.rs` and `pretty.rs` the two forms.

mod json;
mod line;
mod pretty;
mod queue;
mod writer;

use std::fmt::Display;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

pub use crate::config::secrets;
pub use queue::Logger;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A defect.
    Error,
    /// Something is not as it should be, and the process goes on.
    Warn,
    /// What an operator may want to know.
    Info,
    /// What only a developer wants to know.
    Debug,
}

impl Level {
    /// As JSON lines have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }

    /// As messages on a terminal begin.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// Library and its version, as the text of a `User-Agent` names them.
pub type ReadAgent = fn(&str) -> (Option<&str>, Option<&str>);

/// How to log.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings {
    /// The least that is written; `None`: nothing. Lines of requests are [`Level::Info`].
    pub level: Option<Level>,
    /// For people instead of JSON.
    pub pretty: bool,
    /// Share of the requests that succeed which get a line; those that fail always do.
    pub sample_rate: f64,
    /// Lines of requests that may wait to be written.
    pub queue_max: usize,
    /// What finds out `lib` and `lib_version`.
    pub read_agent: ReadAgent,
}

/// A process has one standard error.
static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts the log of the process, on standard error. Panics are logged from now on, too. Further calls give the same log.
pub fn install(settings: LogSettings) -> Logger {
    install_to(settings, Box::new(std::io::stderr()))
}

/// The same, on something else than standard error.
pub fn install_to(settings: LogSettings, out: Box<dyn Write + Send>) -> Logger {
    LOGGER
        .get_or_init(|| {
            std::panic::set_hook(Box::new(report_panic));
            Logger::start(settings, out)
        })
        .clone()
}

/// The log of the process, once it is installed.
#[must_use]
pub fn logger() -> Option<Logger> {
    LOGGER.get().cloned()
}

/// Says something. Without a log, on standard error.
pub fn message(level: Level, text: impl Display) {
    match LOGGER.get() {
        Some(logger) => logger.message(level, &text),
        None => eprintln!("{}: {text}", level.word()),
    }
}

/// Says that something is not as it should be.
pub fn warn(text: impl Display) {
    message(Level::Warn, text);
}

/// Says what an operator may want to know.
pub fn info(text: impl Display) {
    message(Level::Info, text);
}

/// Says what only a developer wants to know.
pub fn debug(text: impl Display) {
    message(Level::Debug, text);
}

/// Waits until everything that was said before is written, at most for `limit`. For the end of a command.
pub fn flush(limit: Duration) {
    if let Some(logger) = LOGGER.get() {
        logger.flush(limit);
    }
}

fn report_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    message(Level::Error, format_args!("thread '{name}' {info}"));
}
