//! `canary`: gets what was measured of two versions, judges it (`feature_flags::canary`) and says what it found.

mod fetch;
mod prometheus;
mod source;

use std::process::ExitCode;

use feature_flags::canary::{Sample, json, plot, table, verdict};

use super::Failure;
use crate::cli::Canary;

/// Exit code when a source cannot be read.
pub const UNREADABLE: u8 = 3;

/// Exit code 0: pass, 1: fail, 2: not enough data, 3: a source cannot be read or the plot not written.
pub fn run(arguments: &Canary) -> ExitCode {
    match judge(arguments) {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
        Err(Failure(message)) => {
            eprintln!("feature-flags: {message}");
            ExitCode::from(UNREADABLE)
        }
    }
}

fn judge(arguments: &Canary) -> Result<verdict::Verdict, Failure> {
    let [stable, canary] = samples(arguments)?;
    let judgement = verdict::judge(&stable, &canary, &arguments.rule);
    if let Some(path) = &arguments.svg {
        let text = plot::render(&stable.latency, &canary.latency, &judgement);
        std::fs::write(path, text).map_err(|error| Failure::context(path.display(), error))?;
    }
    if arguments.json {
        println!("{:#}", json::render(&judgement, &arguments.rule));
    } else {
        print!("{}", table::render(&judgement, &arguments.rule));
    }
    Ok(judgement.verdict)
}

/// Of stable and canary.
fn samples(arguments: &Canary) -> Result<[Sample; 2], Failure> {
    let is_url = |text: &String| text.starts_with("http://") || text.starts_with("https://");
    let all = || arguments.stable.iter().chain(&arguments.canary);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::context("the runtime", error))
    };
    if let Some(server) = &arguments.prometheus {
        let ([stable], [canary]) = (arguments.stable.as_slice(), arguments.canary.as_slice()) else {
            return Err(Failure::new("with --prometheus each version is one selector"));
        };
        runtime()?.block_on(prometheus::samples(arguments, server, [stable, canary]))
    } else if all().all(is_url) {
        runtime()?.block_on(source::live(arguments))
    } else if all().any(is_url) {
        Err(Failure::new("both versions must be URLs, or both files"))
    } else {
        Ok([
            source::files(&arguments.stable, arguments.hdr_unit_seconds)?,
            source::files(&arguments.canary, arguments.hdr_unit_seconds)?,
        ])
    }
}
