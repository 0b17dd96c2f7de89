//! Bytes in and out: decoding in every encoding, encoding in every shape.

#[path = "support/workload.rs"]
#[allow(dead_code, reason = "shared with tests and examples")]
mod workload;

use criterion::{Criterion, criterion_group, criterion_main};
use feature_flags::evaluation::Scratch;
use feature_flags::wire::query::Compression;
use feature_flags::wire::response::Shape;
use feature_flags::wire::scratch::DecodeScratch;
use feature_flags::wire::{BodyFormat, Kludges, decode};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(body.len())];
    let length = compressor
        .gzip_compress(body, &mut out)
        .expect("the bound is enough");
    out.truncate(length);
    out
}

fn form(body: &[u8]) -> Vec<u8> {
    let text = base64_simd::STANDARD.encode_to_string(body);
    format!(
        "data={}",
        text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
    )
    .into_bytes()
}

/// About 6 KB: the same person with many properties.
fn large(number: usize) -> Vec<u8> {
    let mut body: serde_json::Value = serde_json::from_str(&workload::body(number)).expect("a body is JSON");
    for at in 0..150 {
        body["person_properties"][format!("property_{at:03}")] = format!("value {number} {at}").into();
    }
    body.to_string().into_bytes()
}

fn decoding(criterion: &mut Criterion) {
    let small: Vec<Vec<u8>> = (0..10_000)
        .map(|number| workload::body(number).into_bytes())
        .collect();
    let gzipped = BodyFormat {
        content_encoding: Some("gzip"),
        ..workload::JSON
    };
    let text = BodyFormat {
        content_type: Some("text/plain"),
        ..BodyFormat::default()
    };
    let forms = BodyFormat {
        content_type: Some("application/x-www-form-urlencoded"),
        compression: Some(Compression::Base64),
        ..BodyFormat::default()
    };
    let mut group = criterion.benchmark_group("decode");
    for (name, format, bodies) in [
        ("plain/500B", workload::JSON, small.clone()),
        ("plain/6KB", workload::JSON, (0..2_000).map(large).collect()),
        (
            "gzip/500B",
            gzipped,
            small.iter().map(|body| gzip(body)).collect(),
        ),
        (
            "gzip/6KB",
            gzipped,
            (0..2_000).map(|number| gzip(&large(number))).collect(),
        ),
        (
            "base64/500B",
            text,
            small
                .iter()
                .map(|body| base64_simd::STANDARD.encode_to_string(body).into_bytes())
                .collect(),
        ),
        (
            "form/500B",
            forms,
            small.iter().map(|body| form(body)).collect::<Vec<_>>(),
        ),
    ] {
        let mut scratch = DecodeScratch::new();
        let mut next = bodies.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let body = next.next().expect("it cycles");
                decode(&mut scratch, body, format, &mut Kludges::default())
                    .expect("a request")
                    .request()
                    .geoip_disable
            });
        });
    }
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let settings = workload::settings(None);
    let mut group = criterion.benchmark_group("encode");
    for flags in [10, 50, 250] {
        let snapshot = workload::snapshot(flags).expect("the workload is there");
        let (mut memory, mut scratch) = (DecodeScratch::new(), Scratch::default());
        let body = workload::body(17);
        let decoded = decode(
            &mut memory,
            body.as_bytes(),
            workload::JSON,
            &mut Kludges::default(),
        );
        workload::evaluate_now(
            &snapshot,
            &decoded.expect("a request").request(),
            &settings,
            &mut scratch,
        );
        for shape in [Shape::V2, Shape::Legacy, Shape::Decide2, Shape::Decide1] {
            let mut answer = Vec::new();
            group.bench_function(format!("{shape:?}/{flags}"), |bencher| {
                bencher.iter(|| workload::encode_answer(&snapshot, &scratch, false, shape, &mut answer));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decoding, encoding);
criterion_main!(benches);
