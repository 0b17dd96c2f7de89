//! The engine alone: one operator, one flag, one team.

#[path = "support/workload.rs"]
#[allow(dead_code, reason = "shared with tests and examples")]
mod workload;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use feature_flags::definition::OperatorName;
use feature_flags::engine::value::PropertyValue;
use feature_flags::engine::{Clock, CompiledProject, Instant, Level, Matcher, VARIANT_SALT, compile, hash};
use feature_flags::evaluation::Scratch;
use feature_flags::snapshot::ProjectSnapshot;
use feature_flags::wire::scratch::DecodeScratch;
use feature_flags::wire::{Kludges, decode};
use jiff::tz::TimeZone;
use serde_json::json;

fn operators(criterion: &mut Criterion) {
    let zone = TimeZone::UTC;
    let clock = Clock {
        now: Instant {
            seconds: 1_767_268_800,
            nanos: 0,
        },
        zone: &zone,
    };
    let mut group = criterion.benchmark_group("operator");
    for (name, operator, operand, value) in [
        (
            "exact",
            OperatorName::Exact,
            json!(["pro", "enterprise"]),
            PropertyValue::Str("Enterprise"),
        ),
        (
            "icontains",
            OperatorName::Icontains,
            json!("@example.com"),
            PropertyValue::Str("somebody@mail.example.com"),
        ),
        (
            "regex",
            OperatorName::Regex,
            json!("^[a-z]+@example"),
            PropertyValue::Str("somebody@example.com"),
        ),
        ("gt", OperatorName::Gt, json!(18), PropertyValue::I64(31)),
        (
            "semver_gte",
            OperatorName::SemverGte,
            json!("2.4.0"),
            PropertyValue::Str("2.10.1"),
        ),
        (
            "is_date_after",
            OperatorName::IsDateAfter,
            json!("-30d"),
            PropertyValue::Str("2025-12-24T10:00:00Z"),
        ),
    ] {
        let matcher = Matcher::compile(operator, Some(&operand), &zone);
        let mut buffer = String::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| matcher.matches(black_box(value), clock, &mut buffer));
        });
    }
    group.finish();
}

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    for (name, id) in [
        ("one_block", "user-17"),
        ("two_blocks", "0191f7a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b"),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| hash(b"area-00-feature-0000.", black_box(id), VARIANT_SALT));
        });
    }
    group.finish();
}

/// The same team on every level that this processor has: ratios within one run.
fn levels(criterion: &mut Criterion) {
    let settings = workload::settings(None);
    let bodies: Vec<String> = (0..1_000).map(workload::body).collect();
    for flags in [10, 50, 250, 1000] {
        let mut group = criterion.benchmark_group(format!("hashing/{flags}"));
        let snapshot = workload::snapshot(flags).expect("the workload is there");
        for name in Level::NAMES {
            let Some(level) = Level::named(name) else { continue };
            let mut scratch = Scratch::with_level(level);
            let mut memory = DecodeScratch::new();
            let mut next = bodies.iter().cycle();
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    let body = next.next().expect("it cycles");
                    let decoded = decode(
                        &mut memory,
                        body.as_bytes(),
                        workload::JSON,
                        &mut Kludges::default(),
                    );
                    let decoded = decoded.expect("a request");
                    workload::evaluate_now(&snapshot, &decoded.request(), &settings, &mut scratch)
                });
            });
        }
        group.finish();
    }
}

fn teams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("evaluate");
    let settings = workload::settings(None);
    for flags in [10, 50, 250, 1000] {
        let snapshot = workload::snapshot(flags).expect("the workload is there");
        let bodies: Vec<String> = (0..10_000).map(workload::body).collect();
        let mut memory = DecodeScratch::new();
        let mut scratch = Scratch::default();
        let mut next = bodies.iter().cycle();
        group.bench_function(format!("team/{flags}"), |bencher| {
            bencher.iter(|| {
                let body = next.next().expect("it cycles");
                let decoded = decode(
                    &mut memory,
                    body.as_bytes(),
                    workload::JSON,
                    &mut Kludges::default(),
                );
                let decoded = decoded.expect("a request");
                workload::evaluate_now(&snapshot, &decoded.request(), &settings, &mut scratch)
            });
        });
    }
    group.finish();
}

fn compiling(criterion: &mut Criterion) {
    let path = format!(
        "{}/loadtest/workloads/flags-1000.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).expect("the workload is there");
    let raw = workload::project(&serde_json::from_str(&text).expect("it is JSON")).expect("the flags parse");
    let bytes = |project: &CompiledProject| project.heap_bytes() / project.flags().len();
    println!(
        "compiled: {} bytes a flag; with fragments {} bytes a flag",
        bytes(&compile(&raw)),
        {
            let snapshot = ProjectSnapshot::build(&raw);
            snapshot.heap_bytes() / snapshot.project.flags().len()
        }
    );
    criterion.bench_function("compile/team/1000", |bencher| {
        bencher.iter(|| ProjectSnapshot::build(black_box(&raw)))
    });
}

criterion_group!(benches, operators, hashing, levels, teams, compiling);
criterion_main!(benches);
