//! A request in process up to a given stage, for counting instructions and time: what a stage costs is the difference to the one before.
//!
//! ```text
//! stage_once decode|evaluate|encode FLAGS ITERATIONS [LEVEL]
//! ```
//!
//! `evaluate` selects, plans and evaluates after decoding; `encode` does everything. Prints nanoseconds a request as one line of
//! JSON. LEVEL pins how hashes are computed (`portable`, `avx2`, `avx512`).

#[path = "../benches/support/workload.rs"]
#[allow(dead_code, reason = "shared with benches and tests")]
mod workload;

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use feature_flags::engine::Level;
use feature_flags::evaluation::Scratch;
use feature_flags::wire::response::Shape;
use feature_flags::wire::scratch::DecodeScratch;
use feature_flags::wire::{Kludges, decode};

/// The server's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Different persons.
const BODIES: usize = 2_000;

/// Time is the best of this many parts of a run: neighbours on the machine only ever add.
const PARTS: usize = 10;

const USAGE: &str = "usage: stage_once decode|evaluate|encode FLAGS ITERATIONS [LEVEL]";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Decode,
    Evaluate,
    Encode,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let last = match arguments.next().as_deref() {
        Some("decode") => Stage::Decode,
        Some("evaluate") => Stage::Evaluate,
        Some("encode") => Stage::Encode,
        _ => return Err(USAGE.into()),
    };
    let flags: usize = arguments.next().ok_or(USAGE)?.parse()?;
    let iterations: usize = arguments.next().ok_or(USAGE)?.parse()?;
    let mut evaluation = match arguments.next() {
        Some(name) => Scratch::with_level(Level::named(&name).ok_or("this processor has no such level")?),
        None => Scratch::default(),
    };
    let snapshot = workload::snapshot(flags)?;
    let settings = workload::settings(None);
    let (mut memory, mut answer) = (DecodeScratch::new(), Vec::new());
    // Made whatever the number of iterations, so that a difference of two runs leaves it out.
    let bodies: Vec<String> = (0..BODIES).map(workload::body).collect();
    let mut best = Duration::MAX;
    let each = (iterations / PARTS).max(1);
    let mut next = bodies.iter().cycle();
    for _ in 0..PARTS {
        let started = Instant::now();
        for body in next.by_ref().take(each) {
            let body = black_box(body.as_bytes());
            let decoded = decode(&mut memory, body, workload::JSON, &mut Kludges::default())
                .map_err(|_| "not a request")?;
            let request = black_box(decoded.request());
            if last >= Stage::Evaluate {
                let report = workload::evaluate_now(&snapshot, &request, &settings, &mut evaluation);
                if last >= Stage::Encode {
                    workload::encode_answer(&snapshot, &evaluation, report.errors, Shape::V2, &mut answer);
                    black_box(&answer);
                }
            }
        }
        best = best.min(started.elapsed());
    }
    println!(
        r#"{{"requests":{},"nanoseconds":{:.1}}}"#,
        each * PARTS,
        best.as_secs_f64() * 1e9 / each as f64
    );
    Ok(())
}
