//! Whole requests through the HTTP handler in process, for counting what watching them costs.
//!
//! ```text
//! request_once FLAGS ITERATIONS [metrics] [log] [traces | traced] [recorder | recorder-idle]
//! ```
//!
//! Everything but hyper's own parsing and writing, from headers read to answer ready. The log goes nowhere, and so do traces, from a
//! thread of their own: with `traces` no request is sampled, with `traced` every one is. `recorder` takes every
//! request, `recorder-idle` none: what is left is the decision.

#[path = "../benches/support/workload.rs"]
#[allow(dead_code, reason = "shared with benches and tests")]
mod workload;

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use feature_flags::config::Config;
use feature_flags::http::user_agent::library_of;
use feature_flags::http::{AppState, DefinitionsStores, Stores, handle};
use feature_flags::snapshot::{BoxFuture, TieredSettings};
use feature_flags::store::embedded::{EmbeddedCookieless, EmbeddedStore};
use feature_flags::telemetry::log::{Level, LogSettings, install_to};
use feature_flags::telemetry::trace::{Collector, ExportError, Resource, TraceSettings, install};

/// The server's own: what the system's costs depends on what was allocated long before.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Different persons.
const BODIES: usize = 2_000;

/// How often the first request may fail.
const FIRST_ATTEMPTS_MAX: usize = 50;

/// The default of `LOG_QUEUE_RECORDS`, so that as much is written as dropped does not matter: a worker does the same.
const QUEUE: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flags, iterations, switches @ ..] = arguments.as_slice() else {
        let usage =
            "request_once FLAGS ITERATIONS [metrics] [log] [traces | traced] [recorder | recorder-idle]";
        return Err(format!("usage: {usage}").into());
    };
    let (flags, iterations): (usize, usize) = (flags.parse()?, iterations.parse()?);
    let is_on = |switch: &str| switches.iter().any(|given| given == switch);
    if is_on("log") {
        install_to(
            LogSettings {
                level: Some(Level::Info),
                pretty: false,
                sample_rate: 1.0,
                queue_max: QUEUE,
                read_agent: library_of,
            },
            Box::new(std::io::sink()),
        );
    }
    // Its threads export, so that what the first thread does is what requests cost.
    let exporting = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    if is_on("traces") || is_on("traced") {
        let _inside = exporting.enter();
        let settings = TraceSettings {
            ratio: if is_on("traced") { 1.0 } else { 0.0 },
            export_timeout: Duration::from_secs(3),
            resource: Resource::default(),
        };
        // It runs to the end of the process.
        drop(install(settings, Arc::new(Nowhere)));
    }
    let folder = tempfile::tempdir()?;
    let recording = folder.path().join("recording");
    let recorder = match (is_on("recorder"), is_on("recorder-idle")) {
        (true, _) => Some((recording.as_path(), "1")),
        (false, true) => Some((recording.as_path(), "0")),
        (false, false) => None,
    };
    let state = state(flags, is_on("metrics"), recorder)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Made whatever the number of iterations, so that a difference of two runs leaves it out.
    let token = format!("phc_workload_{flags}");
    let bodies: Vec<String> = (0..BODIES)
        .map(|number| workload::body(number).replace("phc_workload", &token))
        .collect();
    let ask = |body: &str| -> Result<bool, hyper::http::Error> {
        let request = hyper::Request::post("/flags/?v=2")
            .header("content-type", "application/json")
            .header("user-agent", "posthog-python/7.91.1")
            .header("x-forwarded-for", "203.0.113.9")
            .body(http_body_util::Full::new(Bytes::from(body.to_owned())))?;
        let answer = runtime.block_on(handle(&state, Ipv4Addr::LOCALHOST.into(), request));
        Ok(answer.status() == 200)
    };
    // Loading the team has a time limit, which valgrind on a busy machine can exceed; what counts is afterwards.
    let first = bodies.first().ok_or("no bodies")?;
    let mut attempts = 0;
    while !ask(first)? {
        attempts += 1;
        if attempts == FIRST_ATTEMPTS_MAX {
            return Err("the team cannot be loaded".into());
        }
    }
    let mut answered = 0;
    for body in bodies.iter().cycle().take(iterations) {
        answered += usize::from(ask(body)?);
    }
    println!("{answered} of {iterations} requests answered");
    if answered == iterations {
        Ok(())
    } else {
        Err("a request failed".into())
    }
}

/// A collector that takes everything.
struct Nowhere;

impl Collector for Nowhere {
    fn export(
        &self,
        _: Bytes,
        _: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, ExportError>> + Send + '_>> {
        Box::pin(async { Ok(Bytes::new()) })
    }

    fn place(&self) -> &str {
        "nowhere"
    }
}

fn state(flags: usize, metrics: bool, recorder: Option<(&Path, &str)>) -> Result<AppState, Box<dyn Error>> {
    let path = format!(
        "{}/loadtest/workloads/flags-{flags}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let store = Arc::new(EmbeddedStore::temporary()?);
    store
        .import(&std::fs::read(path)?)
        .map_err(|error| error.to_string())?;
    let switch = if metrics { "true" } else { "false" };
    let (file, rate) = recorder.map_or(("", "0"), |(file, rate)| {
        (file.to_str().unwrap_or_default(), rate)
    });
    let config = Config::read(&std::collections::HashMap::from([
        ("ENABLE_METRICS", switch),
        ("RECORDER_FILE", file),
        ("RECORDER_SAMPLE_RATE", rate),
        // Nothing is loaded again while requests are counted.
        ("SNAPSHOT_SOFT_TTL_MS", "3600000"),
        ("SNAPSHOT_HARD_TTL_MS", "3600000"),
    ]))?;
    let projects = store.project_source(&TieredSettings::default());
    Ok(AppState::new(
        &config,
        Stores {
            definitions: DefinitionsStores {
                source: Arc::clone(&projects) as _,
                rebuilds: None,
                auth: store.auth(false),
            },
            projects: projects as _,
            persons: store,
            cookieless: Arc::new(EmbeddedCookieless::default()),
            geo: None,
            retries: Arc::default(),
            check: Box::new(|| -> BoxFuture<'static, Result<(), String>> { Box::pin(async { Ok(()) }) }),
        },
    ))
}
