//! Hostile bodies over TCP: an answer of the specified shape, soon, and a connection that lives on.

use std::time::{Duration, Instant};

use libdeflater::{CompressionLvl, Compressor};

use crate::harness::Harness;

/// Generous for a busy machine; a body that costs more than its size is what this looks for.
const PATIENCE: Duration = Duration::from_secs(5);

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(body.len())];
    let length = compressor.gzip_compress(body, &mut out).unwrap();
    out.truncate(length);
    out
}

/// A request with something odd as a property.
fn with(property: &str) -> Vec<u8> {
    format!(
        r#"{{"token": "phc_sdk_fixture_4242", "distinct_id": "user-1", "person_properties": {{"plan": {property}}}}}"#
    )
    .into_bytes()
}

#[test]
fn every_body_gets_an_answer_of_the_specified_shape() {
    let server = Harness::start(&[]);
    let bomb = gzip(&vec![b' '; 200 << 20]);
    assert!(bomb.len() < 1 << 20);
    let deep = |depth: usize| with(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    let many: String = (0..100_000).map(|at| format!("\"k{at}\":{at},")).collect();
    let bodies: Vec<(&str, Vec<u8>, u16)> = vec![
        ("gzip bomb", bomb.clone(), 413),
        ("gzip of gzip", gzip(&bomb), 400),
        ("cut gzip", bomb[..bomb.len() / 2].to_vec(), 413),
        ("gzip head alone", vec![0x1f, 0x8b, 0x08], 400),
        ("100 deep", deep(100), 200),
        ("10,000 deep", deep(10_000), 400),
        ("10,000 open braces", b"{\"a\":".repeat(10_000), 400),
        ("lone surrogate", with(r#""\ud83d""#), 200),
        ("huge number", with(&"9".repeat(100_000)), 400),
        (
            "number beyond 64 bits",
            with("123456789012345678901234567890"),
            200,
        ),
        ("too large a float", with("1e400"), 400),
        ("keys twice", with(r#""a", "plan": "b", "plan": "c""#), 200),
        ("many keys", with(&format!("{{{}\"z\": 1}}", many)), 200),
        ("NUL bytes", vec![0; 4096], 400),
        ("not UTF-8", vec![0xff; 4096], 400),
        ("a comment without an end", b"/* ".to_vec(), 400),
        ("a string without an end", b"{\"token\": \"phc".to_vec(), 400),
        ("null", b"null".to_vec(), 400),
        (
            "base64 of base64",
            base64_simd::STANDARD.encode_to_string(b"e30=").into_bytes(),
            400,
        ),
        ("two megabytes of brackets", vec![b'['; 2 << 20], 400),
        ("two megabytes of backslashes", vec![b'\\'; 2 << 20], 400),
        (
            "two megabytes of commas in a list",
            [b"[0".as_slice(), &b",0".repeat(1 << 19), b"]"].concat(),
            400,
        ),
    ];
    let mut client = server.client();
    for (name, body, status) in &bodies {
        for headers in [
            &["content-type: application/json"][..],
            &[],
            &["content-type: text/plain"],
        ] {
            let started = Instant::now();
            let answer = client.request("POST /flags?v=2", headers, body);
            let took = started.elapsed();
            assert!(took < PATIENCE, "{name} took {took:?}");
            assert_eq!(answer.status, *status, "{name}: {}", answer.text());
            match status {
                200 => assert!(answer.json()["flags"].is_object(), "{name}"),
                400 => assert!(
                    answer.text().starts_with("Failed to decode request: "),
                    "{name}: {}",
                    answer.text()
                ),
                _ => assert!(
                    answer
                        .text()
                        .starts_with("Decompressed request body exceeded 4194304 bytes"),
                    "{name}"
                ),
            }
        }
    }
}
