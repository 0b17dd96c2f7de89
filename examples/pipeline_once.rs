//! The whole request pipeline in process, for counting instructions: decode, select, plan, evaluate, encode.
//!
//! ```text
//! pipeline_once FLAGS ITERATIONS [LEVEL] [config] [marked]
//! ```
//!
//! LEVEL pins how hashes are computed (`portable`, `avx2`, `avx512`, `avx512x16`), so that counts do not depend on what the
//! processor has besides. With `config` answers have config fields. With `marked`
//! some requests come before, and a line is written before and after those that count. Uses `loadtest/workloads/flags-FLAGS.json` and another person for every iteration.

#[path = "../benches/support/workload.rs"]
#[allow(dead_code, reason = "shared with benches and tests")]
mod workload;

use std::error::Error;

use feature_flags::engine::Level;

/// Different persons.
const BODIES: usize = 2_000;

/// Requests before the mark, after which every buffer has grown.
const WARM: usize = 300;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || {
        arguments
            .next()
            .ok_or("usage: pipeline_once FLAGS ITERATIONS [LEVEL] [config] [marked]")
    };
    let (flags, iterations): (usize, usize) = (argument()?.parse()?, argument()?.parse()?);
    let (mut level, mut with_config, mut is_marked) = (None, false, false);
    for word in arguments {
        match word.as_str() {
            "config" => with_config = true,
            "marked" => is_marked = true,
            _ => level = Some(word),
        }
    }
    let snapshot = if with_config {
        workload::snapshot_with_config(flags)?
    } else {
        workload::snapshot(flags)?
    };
    let mut pipeline = workload::Pipeline::new(&snapshot, None);
    if let Some(name) = level {
        pipeline.pin(Level::named(&name).ok_or("this processor has no such level")?);
    }
    // Made whatever the number of iterations, so that a difference of two runs leaves it out.
    let bodies: Vec<String> = (0..BODIES).map(workload::body).collect();
    let mut answered = 0;
    let mut bodies = bodies.iter().cycle();
    if is_marked {
        for body in bodies.by_ref().take(WARM) {
            answered += pipeline.request(body.as_bytes());
        }
        println!("begin");
    }
    for body in bodies.take(iterations) {
        answered += pipeline.request(body.as_bytes());
    }
    if is_marked {
        println!("end");
    }
    println!("{iterations} requests, {answered} bytes of answers");
    Ok(())
}
