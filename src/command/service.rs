//! From a bound listener to an orderly end: requests answered, usage and traces written.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use feature_flags::config::Config;
use feature_flags::http::AppState;
use feature_flags::quota::Tasks;
use feature_flags::server::{Drained, Server, Signals};
use feature_flags::telemetry::log;
use feature_flags::telemetry::trace::Exporting;
use tokio::sync::oneshot;

use super::{Failure, traces};

/// What a shell reports for a process that an interrupt ended.
const ENDED_BY_SIGNAL: u8 = 130;

/// For a recording to be written to its end; nobody is served any more.
const RECORDER_LIMIT: Duration = Duration::from_secs(2);

/// Takes over SIGTERM and SIGINT; to be done before anybody is told that the server runs.
///
/// # Errors
/// When the system refuses signal handlers.
pub fn signals() -> Result<Signals, Failure> {
    Signals::listen().map_err(|error| Failure::context("cannot listen for signals", error))
}

/// Starts the task that forgets idle keys of the rate limiters and says what they let through in log-only mode.
pub fn clean_limits(config: &Config, app: &AppState) {
    let every = config.rate_limit.cleanup_interval;
    let say = |line: &str| log::warn(line);
    tokio::spawn(Arc::clone(&app.limits).keep_clean(every, say));
}

/// Serves until the first signal, then drains and writes what usage and traces are left; the second signal ends at once.
pub async fn serve(
    server: Server,
    app: Arc<AppState>,
    quota: Tasks,
    traces: Option<Exporting>,
    mut signals: Signals,
) -> ExitCode {
    let recorder = app.recorder.clone();
    let (stop, stopped) = oneshot::channel();
    let mut serving = pin!(server.run(app, async {
        // An error would mean that the sender is gone, and this function with it.
        let _ = stopped.await;
    }));
    tokio::select! {
        _ = &mut serving => {
            tokio::join!(quota.finish(), traces::finish(traces));
            return ExitCode::SUCCESS;
        }
        () = signals.next() => log::info("ending once requests in flight are answered"),
    }
    let _ = stop.send(());
    tokio::select! {
        drained = &mut serving => {
            if let Drained::Cut(connections) = drained {
                log::warn(format_args!("closed {connections} connections that were still open at the deadline"));
            }
        }
        () = signals.next() => return ExitCode::from(ENDED_BY_SIGNAL),
    }
    if let Some(recorder) = recorder
        && !recorder.finish(RECORDER_LIMIT)
    {
        log::warn("the recording could not be written to its end");
    }
    tokio::select! {
        // What was not written, it has said.
        _ = async { tokio::join!(quota.finish(), traces::finish(traces)) } => ExitCode::SUCCESS,
        () = signals.next() => ExitCode::from(ENDED_BY_SIGNAL),
    }
}
