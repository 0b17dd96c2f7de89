//! What a rate limiter costs a request: a known address, a known token, a refusal, and forgetting many keys.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use feature_flags::config::Config;
use feature_flags::limit::Limits;
use governor::clock::{Clock, FakeRelativeClock, MonotonicClock};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: u32 = 10_000;

fn limits<C: Clock + Clone>(burst: &str, entries_max: &str, clock: &C) -> Limits<C> {
    let source = HashMap::from([
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", burst),
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_BUCKET_CAPACITY", burst),
        ("RATE_LIMITER_ENTRIES_MAX", entries_max),
    ]);
    let config = Config::read(&source).expect("the settings are valid");
    Limits::with_clock(&config.rate_limit, &config.definitions, clock)
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(number))
}

fn checks(criterion: &mut Criterion) {
    let tokens: Vec<String> = (0..KEYS).map(|number| format!("phc_{number:043}")).collect();
    let mut group = criterion.benchmark_group("limit");
    for (name, burst) in [("known", "4000000000"), ("refused", "1")] {
        let limits = limits(burst, "250000", &MonotonicClock);
        for (number, token) in (0..KEYS).zip(&tokens) {
            let _ = (limits.ip.check(address(number)), limits.token.check(token));
        }
        let mut addresses = (0..KEYS).map(address).cycle();
        group.bench_function(format!("address/{name}"), |bencher| {
            bencher.iter(|| limits.ip.check(addresses.next().expect("it cycles")));
        });
        let mut cycle = tokens.iter().cycle();
        group.bench_function(format!("token/{name}"), |bencher| {
            bencher.iter(|| limits.token.check(cycle.next().expect("it cycles")));
        });
    }
    group.bench_function("address/shared", |bencher| {
        let limits = limits("4000000000", "1", &MonotonicClock);
        let mut addresses = (0..KEYS).map(address).cycle();
        bencher.iter(|| limits.ip.check(addresses.next().expect("it cycles")));
    });
    group.bench_function("clock", |bencher| {
        bencher.iter(|| black_box(MonotonicClock.now()))
    });
    group.finish();
}

fn cleaning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit");
    group.sample_size(10);
    for keys in [10_000, 250_000] {
        group.bench_function(format!("clean/{keys}"), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut time = Duration::ZERO;
                for _ in 0..iterations {
                    let clock = FakeRelativeClock::default();
                    let limits = limits("1000", "250000", &clock);
                    for number in 0..keys {
                        let _ = limits.ip.check(address(number));
                    }
                    clock.advance(Duration::from_secs(60));
                    let started = Instant::now();
                    limits.clean();
                    time += started.elapsed();
                }
                time
            });
        });
    }
    group.finish();
}

criterion_group!(benches, checks, cleaning);
criterion_main!(benches);
