//! `replay`: the same requests to two servers. `feed.rs` reads them, `drive.rs` says when they are sent, `target.rs` sends them,
//! `smaller.rs` makes examples small. What answers mean is the library's.

mod drive;
mod feed;
mod smaller;
mod target;

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use feature_flags::config::{Environment, Source, parse};
use feature_flags::recorder::KeyedHash;
use feature_flags::replay::{Bytes, Report, SideReport, Tokens};
use feature_flags::server::runtime;

use self::drive::{Drive, Pace};
use self::feed::Feed;
use self::target::Target;
use super::{Failure, USAGE};
use crate::cli::Replay;

/// Longest file of tokens.
const TOKEN_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Sends, compares, prints. Exit code 0: all the same; 1: something differs; 2: the run proves nothing.
pub fn run(arguments: &Replay) -> ExitCode {
    match replay(arguments) {
        Ok(differs) => ExitCode::from(u8::from(differs)),
        Err(failure) => {
            eprintln!("feature-flags: {failure}");
            ExitCode::from(USAGE)
        }
    }
}

/// Whether answers differ.
fn replay(arguments: &Replay) -> Result<bool, Failure> {
    let tokens = Arc::new(tokens(arguments)?);
    let feed = Feed::open(arguments, Arc::clone(&tokens))?;
    let targets = [
        Target::new(&arguments.a, arguments)?,
        Target::new(&arguments.b, arguments)?,
    ];
    // Made before anything is sent: hours of work should not end with a file that cannot be written.
    let outputs = [&arguments.hdr_a, &arguments.hdr_b, &arguments.json]
        .map(|path| path.as_deref().map(create).transpose());
    let [hdr_a, hdr_b, json] = outputs;
    let (hdr_a, hdr_b, json) = (hdr_a?, hdr_b?, json?);
    let runtime = runtime::build(0).map_err(|error| Failure::context("cannot start threads", error))?;
    let began = SystemTime::now();
    let bytes = if arguments.ignore_bytes {
        Bytes::Ignored
    } else {
        Bytes::Matter
    };
    let drive = Drive::new(targets, bytes);
    let pace = Pace {
        rate: arguments.rate,
        requests: arguments.requests,
        time: arguments.time,
        concurrency: arguments.concurrency,
        waiting_max: arguments.waiting_max,
        progress: arguments.progress || std::io::stderr().is_terminal(),
    };
    let mut report = drive.run(&runtime, feed, pace)?;
    runtime.block_on(smaller::shrink_examples(&drive, &mut report.findings, &tokens));
    runtime.shutdown_background();
    write_log(hdr_a, &report.a, began, &report)?;
    write_log(hdr_b, &report.b, began, &report)?;
    if let Some((mut out, path)) = json {
        writeln!(out, "{:#}", report.json())
            .and_then(|()| out.flush())
            .map_err(|error| Failure::context(path, error))?;
    }
    print!("{report}");
    match report.doubt() {
        Some(doubt) => Err(Failure::new(doubt)),
        None => Ok(report.differs()),
    }
}

type Output = (BufWriter<File>, String);

fn create(path: &Path) -> Result<Output, Failure> {
    let name = path.display().to_string();
    let file = File::create(path).map_err(|error| Failure::context(&name, error))?;
    Ok((BufWriter::new(file), name))
}

fn write_log(
    output: Option<Output>,
    side: &SideReport,
    began: SystemTime,
    report: &Report,
) -> Result<(), Failure> {
    let Some((mut out, name)) = output else {
        return Ok(());
    };
    side.latencies
        .write_log(&side.failures, &mut out, began, report.took)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::context(name, error))
}

/// The tokens that arguments, a file, and a key with bare tokens name.
fn tokens(arguments: &Replay) -> Result<Tokens, Failure> {
    let mut tokens = Tokens::default();
    for text in &arguments.tokens {
        // Without the text: it is a token.
        tokens
            .add(text)
            .map_err(|error| Failure::context("--token", error))?;
    }
    let Some(path) = &arguments.token_file else {
        return Ok(tokens);
    };
    let name = path.display().to_string();
    let length = std::fs::metadata(path)
        .map_err(|error| Failure::context(&name, error))?
        .len();
    if length > TOKEN_FILE_BYTES_MAX {
        return Err(Failure::new(format!(
            "{name}: longer than {TOKEN_FILE_BYTES_MAX} bytes"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| Failure::context(&name, error))?;
    let hash = hash_key()?.map(|key| KeyedHash::of(key.as_bytes()));
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        match &hash {
            Some(hash) if !line.contains('=') => {
                let token = line.trim();
                tokens.insert(hash.token(token), token.to_owned());
            }
            _ => tokens
                .add(line)
                .map_err(|error| Failure::context(format_args!("{name}, line {}", number + 1), error))?,
        }
    }
    Ok(tokens)
}

/// `RECORDER_HASH_KEY`, or the file that `RECORDER_HASH_KEY_FILE` names.
fn hash_key() -> Result<Option<String>, Failure> {
    const NAME: &str = "RECORDER_HASH_KEY";
    let text = match (Environment.get(NAME), Environment.get("RECORDER_HASH_KEY_FILE")) {
        (Some(key), _) => key,
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path).map_err(|error| Failure::context(&path, error))?;
            text.strip_suffix('\n')
                .map_or_else(|| text.clone(), str::to_owned)
        }
        (None, None) => return Ok(None),
    };
    let key = parse::optional_secret(&text)
        .map_err(|expected| Failure::new(format!("{NAME}: expected {expected}")))?;
    Ok(key.map(|key| key.expose().to_owned()))
}
