//! The whole request pipeline in process, for counting instructions: decode, select, plan, evaluate, encode.
//!
//! ```text
//! pipeline_once FLAGS ITERATIONS [config]
//! ```
//!
//! Uses `loadtest/workloads/flags-FLAGS.json` and another person for every iteration; with `config` answers have config fields.

#[path = "../benches/support/workload.rs"]
#[allow(dead_code, reason = "shared with benches and tests")]
mod workload;

use std::error::Error;

/// Different persons.
const BODIES: usize = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || {
        arguments
            .next()
            .ok_or("usage: pipeline_once FLAGS ITERATIONS [config]")
    };
    let (flags, iterations): (usize, usize) = (argument()?.parse()?, argument()?.parse()?);
    let snapshot = match arguments.next().as_deref() {
        Some("config") => workload::snapshot_with_config(flags)?,
        _ => workload::snapshot(flags)?,
    };
    let mut pipeline = workload::Pipeline::new(&snapshot, None);
    // Made whatever the number of iterations, so that a difference of two runs leaves it out.
    let bodies: Vec<String> = (0..BODIES).map(workload::body).collect();
    let mut answered = 0;
    for body in bodies.iter().cycle().take(iterations) {
        answered += pipeline.request(body.as_bytes());
    }
    println!("{iterations} requests, {answered} bytes of answers");
    Ok(())
}
