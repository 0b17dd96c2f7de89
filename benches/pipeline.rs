//! Whole requests in process: decode, select, plan, evaluate, encode; one at a time, and many at once.
//!
//! The second group decides `PARALLEL_EVAL_THRESHOLD`: the same number of requests by 16 threads, each stage on the
//! request's own thread or split over the pool.

#[path = "support/workload.rs"]
#[allow(dead_code, reason = "shared with tests and examples")]
mod workload;

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use feature_flags::evaluation::EvaluationPool;
use feature_flags::snapshot::ProjectSnapshot;

const BODIES: usize = 10_000;

fn requests(criterion: &mut Criterion) {
    let bodies: Vec<String> = (0..BODIES).map(workload::body).collect();
    let mut group = criterion.benchmark_group("request");
    for flags in [10, 50, 250, 1000] {
        let snapshot = workload::snapshot(flags).expect("the workload is there");
        for (name, threshold) in [("sequential", 0), ("parallel", 1)] {
            let mut pipeline = workload::Pipeline::new(
                &snapshot,
                EvaluationPool::new(threshold, 64, Duration::ZERO).map(Arc::new),
            );
            let mut next = bodies.iter().cycle();
            group.bench_function(format!("{name}/{flags}"), |bencher| {
                bencher.iter(|| pipeline.request(next.next().expect("it cycles").as_bytes()));
            });
        }
    }
    group.finish();
}

fn in_flight(criterion: &mut Criterion) {
    const THREADS: usize = 16;
    let bodies: Vec<String> = (0..BODIES).map(workload::body).collect();
    let mut group = criterion.benchmark_group("16_in_flight");
    group.sample_size(10);
    for flags in [50, 250, 1000] {
        let snapshot = workload::snapshot(flags).expect("the workload is there");
        for (name, threshold) in [("sequential", 0), ("parallel", 1)] {
            group.bench_function(format!("{name}/{flags}"), |bencher| {
                bencher.iter_custom(|iterations| burst(&snapshot, &bodies, threshold, THREADS, iterations));
            });
        }
    }
    group.finish();
}

/// Wall time of `iterations` requests on each of `threads` threads.
fn burst(
    snapshot: &ProjectSnapshot,
    bodies: &[String],
    threshold: usize,
    threads: usize,
    iterations: u64,
) -> Duration {
    // One pool for all, as in the server.
    let pool = EvaluationPool::new(threshold, 64, Duration::ZERO).map(Arc::new);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let pool = pool.clone();
            scope.spawn(move || {
                let mut pipeline = workload::Pipeline::new(snapshot, pool);
                for at in 0..iterations as usize {
                    pipeline.request(bodies[(thread * 613 + at) % bodies.len()].as_bytes());
                }
            });
        }
    });
    started.elapsed()
}

criterion_group!(benches, requests, in_flight);
criterion_main!(benches);
