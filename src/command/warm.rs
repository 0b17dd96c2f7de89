//! `warm`: builds the entries of teams from PostgreSQL into Redis and S3.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use feature_flags::hypercache::TeamSelection;
use feature_flags::hypercache::warm::{WarmOptions, WarmSummary, WarmTeams};
use feature_flags::server::runtime;
use feature_flags::store::connected::Connected;

use super::{Failure, connected, start};
use crate::cli::Warm;

/// How often a long run says how far it is, when nobody looks at a terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// How long the first connection to Redis may take; a run that writes nothing is worth no wait.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Builds and says what was built. Exit code 1 when some entry failed.
///
/// # Errors
/// When a setting cannot be used or the teams cannot be listed.
pub fn run(arguments: &Warm) -> Result<ExitCode, Failure> {
    let config = start::config()?;
    let runtime = runtime::build(config.server.worker_threads)
        .map_err(|error| Failure::context("cannot start threads", error))?;
    let summary = runtime.block_on(async {
        let connected = connected::open(&config)?;
        let teams = if arguments.teams.is_empty() {
            WarmTeams::Selection(TeamSelection::All)
        } else {
            WarmTeams::Ids(arguments.teams.clone())
        };
        let options = WarmOptions {
            concurrency: arguments.concurrency,
            dry_run: arguments.dry_run,
            force: arguments.force,
            ..WarmOptions::default()
        };
        warm(&connected, teams, options).await
    });
    runtime.shutdown_background();
    let summary = summary?;
    for failure in &summary.failures {
        let team = failure.team_id.map_or("?".to_owned(), |id| id.to_string());
        let entry = failure.entry.map_or("rows", |entry| entry.value());
        eprintln!("team {team}: {entry}: {}", failure.error);
    }
    println!("{}", line(&summary, arguments.dry_run));
    Ok(if summary.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds the entries of these teams, with progress on standard error.
///
/// # Errors
/// When the teams cannot be listed.
async fn warm(connected: &Connected, teams: WarmTeams, options: WarmOptions) -> Result<WarmSummary, Failure> {
    let warmer = connected.warmer();
    with_progress(connected, async |progress| {
        warmer.run(teams, options, progress).await
    })
    .await
    .map_err(|error| Failure::context("cannot list the teams", error))
}

/// Does work on entries whose progress is shown on standard error.
pub async fn with_progress<T>(
    connected: &Connected,
    work: impl AsyncFnOnce(&mut (dyn FnMut(usize, usize, usize) + Send)) -> T,
) -> T {
    connected.connect_writers(CONNECT_LIMIT).await;
    let mut progress = Progress::new();
    let done = work(&mut |done, total, failed| progress.show(done, total, failed)).await;
    progress.end();
    done
}

/// What a run did, in one line.
pub fn line(summary: &WarmSummary, dry_run: bool) -> String {
    format!(
        "{} teams: {} entries {}, {} unchanged, {} withheld, {} sentinels, {} failed",
        summary.teams,
        summary.written,
        if dry_run { "would be written" } else { "written" },
        summary.unchanged,
        summary.withheld,
        summary.missing,
        summary.failed
    )
}

/// One line that is rewritten on a terminal; a line now and then elsewhere.
struct Progress {
    terminal: bool,
    said: Instant,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            said: Instant::now(),
            shown: false,
        }
    }

    fn show(&mut self, done: usize, total: usize, failed: usize) {
        let mut stderr = std::io::stderr().lock();
        if self.terminal {
            let _ = write!(stderr, "\r{done} of {total} teams, {failed} failed ");
            let _ = stderr.flush();
            self.shown = true;
        } else if self.said.elapsed() >= PROGRESS_INTERVAL {
            let _ = writeln!(stderr, "{done} of {total} teams, {failed} failed");
            self.said = Instant::now();
        }
    }

    fn end(&self) {
        if self.shown {
            eprintln!();
        }
    }
}
