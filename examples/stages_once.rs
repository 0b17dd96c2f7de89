//! Every stage of a request, each in a function of its own that callgrind finds by name, for counting instructions.
//!
//! ```text
//! stages_once FLAGS WARM COUNTED LEVEL
//! ```
//!
//! WARM persons make every buffer grow and are not counted; COUNTED persons are. LEVEL pins how the engine's own stages hash
//! (`portable`, `avx2`, `avx512`). The handler takes what it finds: under valgrind that is AVX2.

#[path = "../benches/support/workload.rs"]
#[allow(dead_code, reason = "shared with benches and tests")]
mod workload;

use std::error::Error;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use feature_flags::config::Config;
use feature_flags::engine::Level;
use feature_flags::evaluation::Scratch;
use feature_flags::http::{AppState, DefinitionsStores, Stores, handle};
use feature_flags::snapshot::{BoxFuture, TieredSettings};
use feature_flags::store::embedded::{EmbeddedCookieless, EmbeddedStore};
use feature_flags::wire::response::Shape;
use feature_flags::wire::scratch::DecodeScratch;
use feature_flags::wire::{BodyFormat, Kludges, decode};
use http_body_util::Full;
use serde_json::{Value, json};

/// The server's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET: &str = "phs_workload";

/// A function for each stage, never inlined and never merged with another, so that its inclusive cost can be read off.
macro_rules! stages {
    ($($name:ident)*) => {$(
        #[inline(never)]
        fn $name<T>(counted: bool, work: impl FnOnce() -> T) -> T {
            #[inline(never)]
            fn counted_calls<T>(work: impl FnOnce() -> T) -> T {
                let result = work();
                black_box(stringify!($name));
                result
            }
            if counted { counted_calls(work) } else { work() }
        }
    )*};
}

stages!(decode_plain decode_gzip decode_base64 evaluate encode handler definitions_304);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flags, warm, counted, level] = arguments.as_slice() else {
        return Err("usage: stages_once FLAGS WARM COUNTED LEVEL".into());
    };
    let (flags, warm, counted): (usize, usize, usize) = (flags.parse()?, warm.parse()?, counted.parse()?);
    let level = Level::named(level).ok_or("this processor has no such level")?;
    let token = format!("phc_workload_{flags}");
    let bodies: Vec<Vec<u8>> = (0..warm + counted)
        .map(|number| {
            workload::body(number)
                .replace("phc_workload", &token)
                .into_bytes()
        })
        .collect();
    pipeline(flags, level, &bodies, warm)?;
    whole(flags, &token, &bodies, warm)
}

/// Decode in three body formats, evaluate, encode.
fn pipeline(flags: usize, level: Level, bodies: &[Vec<u8>], warm: usize) -> Result<(), Box<dyn Error>> {
    let snapshot = workload::snapshot(flags)?;
    let settings = workload::settings(None);
    let gzip = BodyFormat {
        content_encoding: Some("gzip"),
        ..workload::JSON
    };
    let base64 = BodyFormat {
        content_type: Some("text/plain"),
        ..BodyFormat::default()
    };
    let (mut memory, mut evaluation) = (DecodeScratch::new(), Scratch::with_level(level));
    let mut answer = Vec::new();
    let mut kludges = Kludges::default();
    for (number, body) in bodies.iter().enumerate() {
        let counted = number >= warm;
        let zipped = compressed(body)?;
        let read = decode_gzip(counted, || {
            decode(&mut memory, black_box(&zipped), gzip, &mut kludges).is_ok()
        });
        let wrapped = base64_simd::STANDARD.encode_to_string(body).into_bytes();
        let unwrapped = decode_base64(counted, || {
            decode(&mut memory, black_box(&wrapped), base64, &mut kludges).is_ok()
        });
        let plain = decode_plain(counted, || {
            decode(&mut memory, black_box(body), workload::JSON, &mut kludges)
        });
        let Ok(decoded) = plain else {
            return Err("a plain body was refused".into());
        };
        if !read || !unwrapped {
            return Err("an encoded body was refused".into());
        }
        let request = decoded.request();
        let report = evaluate(counted, || {
            workload::evaluate_now(&snapshot, &request, &settings, &mut evaluation)
        });
        encode(counted, || {
            workload::encode_answer(&snapshot, &evaluation, report.errors, Shape::V2, &mut answer);
        });
        if report.errors || answer.is_empty() {
            return Err("an evaluation failed".into());
        }
    }
    Ok(())
}

/// Through the HTTP handler: a whole request, and definitions that have not changed.
fn whole(flags: usize, token: &str, bodies: &[Vec<u8>], warm: usize) -> Result<(), Box<dyn Error>> {
    let state = state(flags)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let peer = Ipv4Addr::LOCALHOST.into();
    let definitions = |known: &str| {
        hyper::Request::get(format!("/flags/definitions?token={token}"))
            .header("authorization", format!("Bearer {SECRET}"))
            .header("if-none-match", known)
            .body(Full::new(Bytes::new()))
    };
    // The first ones may run into a deadline: valgrind is slow.
    let mut known = None;
    for _ in 0..20 {
        let full = runtime.block_on(handle(&state, peer, definitions("\"none\"")?));
        known = full.headers().get("etag").cloned();
        if known.is_some() {
            break;
        }
    }
    let known = known.ok_or("definitions have no etag")?.to_str()?.to_owned();
    let flags = |body: &[u8]| {
        hyper::Request::post("/flags/?v=2")
            .header("content-type", "application/json")
            .header("origin", "https://shop.example")
            .header("user-agent", "posthog-python/7.91.1")
            .header("x-forwarded-for", "203.0.113.9")
            .body(Full::new(Bytes::from(body.to_vec())))
    };
    let first = bodies.first().ok_or("no bodies")?;
    for _ in 0..20 {
        if runtime.block_on(handle(&state, peer, flags(first)?)).status() == 200 {
            break;
        }
    }
    for (number, body) in bodies.iter().enumerate() {
        let counted = number >= warm;
        let request = flags(body)?;
        let answer = handler(counted, || runtime.block_on(handle(&state, peer, request)));
        let request = definitions(&known)?;
        let unchanged = definitions_304(counted, || runtime.block_on(handle(&state, peer, request)));
        if (answer.status().as_u16(), unchanged.status().as_u16()) != (200, 304) {
            return Err(format!("answered {} and {}", answer.status(), unchanged.status()).into());
        }
    }
    Ok(())
}

fn compressed(body: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(body.len())];
    let length = compressor.gzip_compress(body, &mut out)?;
    out.truncate(length);
    Ok(out)
}

/// With metrics and both rate limiters on, neither of which ever refuses.
fn state(flags: usize) -> Result<AppState, Box<dyn Error>> {
    let path = format!(
        "{}/loadtest/workloads/flags-{flags}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut document: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    document["team"]["secret_api_token"] = json!(SECRET);
    let store = Arc::new(EmbeddedStore::temporary()?);
    store
        .import(document.to_string().as_bytes())
        .map_err(|error| error.to_string())?;
    let config = Config::read(&std::collections::HashMap::from([
        ("ENABLE_METRICS", "true"),
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", "4000000000"),
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_BUCKET_CAPACITY", "4000000000"),
        ("FLAG_DEFINITIONS_RATE_LIMIT_LOG_ONLY", "true"),
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
