//! Hostile bodies for the decoder: whatever comes in, it answers, within bounds, and leaves its scratch fit for
//! the next request.
//!
//! `tests/fuzz/decode/` holds bodies worth keeping; each is replayed in every format. A body that once failed
//! goes there. `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=1 cargo test --test fuzz_decode` searches further.

use std::path::Path;

use feature_flags::engine::value::{Object, PropertyValue};
use feature_flags::wire::query::{Compression, FlagsQuery};
use feature_flags::wire::request::FlagRequest;
use feature_flags::wire::scratch::DecodeScratch;
use feature_flags::wire::{BodyFormat, DecodeError, Kludges, decode, peek_token};
use libdeflater::{CompressionLvl, Compressor};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const TYPES: [Option<&str>; 3] = [
    None,
    Some("text/plain"),
    Some("application/x-www-form-urlencoded"),
];
const COMPRESSIONS: [Option<Compression>; 4] = [
    None,
    Some(Compression::Gzip),
    Some(Compression::Base64),
    Some(Compression::Unsupported),
];

fn formats() -> impl Iterator<Item = BodyFormat<'static>> {
    TYPES.into_iter().flat_map(|content_type| {
        COMPRESSIONS.into_iter().map(move |compression| BodyFormat {
            content_type,
            content_encoding: None,
            compression,
        })
    })
}

/// Decodes in memory of its own and describes the outcome.
fn outcome(body: &[u8], format: BodyFormat<'_>) -> Result<String, DecodeError> {
    outcome_in(&mut DecodeScratch::new(), body, format)
}

/// Decodes, checks what holds for every request, and describes the outcome.
fn outcome_in(
    scratch: &mut DecodeScratch,
    body: &[u8],
    format: BodyFormat<'_>,
) -> Result<String, DecodeError> {
    let result = decode(scratch, body, format, &mut Kludges::default()).map(|decoded| {
        let request = decoded.request();
        check(&request);
        format!("{request:?}")
    });
    if let Err(error) = &result {
        let text = error.to_string();
        assert!(
            text.starts_with("Failed to decode request: ") || *error == DecodeError::TooLarge,
            "{text}"
        );
    }
    scratch.shrink_to_cap();
    // Five buffers, the number text and the tape, each below its cap.
    assert!(scratch.kept_bytes() <= 10 * 256 * 1024);
    result
}

fn check(request: &FlagRequest<'_>) {
    if let Some(id) = request.distinct_id {
        assert!(id.len() <= 200 || id.chars().count() <= 200);
    }
    for object in [
        request.person_properties,
        request.groups,
        request.group_properties,
    ]
    .into_iter()
    .flatten()
    {
        let mut text = String::new();
        PropertyValue::Object(object).write_json(&mut text);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
    for list in [request.flag_keys, request.evaluation_contexts]
        .into_iter()
        .flatten()
    {
        assert!(list.iter().all(|key| matches!(key, PropertyValue::Str(_))));
    }
    let groups = request.group_properties;
    for (_, group) in groups.iter().flat_map(Object::iter) {
        assert!(!matches!(group, PropertyValue::Bool(_) | PropertyValue::F64(_)));
    }
}

fn survives(body: &[u8]) {
    let _ = peek_token(body);
    let _ = FlagsQuery::parse(std::str::from_utf8(body).ok());
    for format in formats() {
        let _ = outcome(body, format);
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(content.len())];
    let length = compressor.gzip_compress(content, &mut out).unwrap();
    out.truncate(length);
    out
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/decode");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn kept_bodies_are_survived() {
    let corpus = corpus();
    assert!(!corpus.is_empty());
    for (name, body) in &corpus {
        println!("{name}");
        survives(body);
        survives(&gzip(body));
    }
}

#[test]
fn scratch_that_served_anything_serves_the_next_request_alike() {
    let mut scratch = DecodeScratch::new();
    for (name, body) in corpus() {
        for format in formats() {
            let fresh = outcome(&body, format);
            assert_eq!(
                outcome_in(&mut scratch, &body, format),
                fresh,
                "{name} {format:?}"
            );
        }
    }
}

/// Each of these would not end in a test's time if any step were worse than linear.
#[test]
fn large_repetitive_bodies_are_survived() {
    let fill = |piece: &str| piece.repeat(250_000 / piece.len());
    let bad_groups: String = (0..20_000).map(|index| format!("\"{index}\":5,")).collect();
    let good_groups: Vec<String> = (0..20_000).map(|index| format!("\"{index}\":{{}}")).collect();
    for body in [
        fill("["),
        fill("{\"a\":"),
        fill("{a:"),
        fill("9"),
        fill("/**/"),
        fill("//\n"),
        fill("\""),
        fill("'"),
        fill("\\"),
        fill("% "),
        fill("data=&"),
        fill("{},"),
        format!("{{\"token\":\"{}\"}}", fill("\\ud83d")),
        format!("{{\"distinct_id\":{}}}", fill("9")),
        format!("{{\"distinct_id\":0.{}}}", fill("3")),
        format!("{{distinct_id:0x{}}}", fill("f")),
        format!(
            "{{\"group_properties\":{{{bad_groups}{}}}}}",
            good_groups.join(",")
        ),
        format!("{{{}\"a\":1}}", fill("\"token\":\"t\",")),
        format!("{{\"distinct_id\":\"{}\"}}", fill("ä")),
    ] {
        survives(body.as_bytes());
    }
}

#[test]
fn the_last_of_many_group_properties_counts() {
    let bad: String = (0..1000).map(|index| format!("\"{index}\":5,")).collect();
    let good: Vec<String> = (0..1000).map(|index| format!("\"{index}\":{{}}")).collect();
    let good = good.join(",");
    let body = format!("{{\"group_properties\":{{{bad}{good}}}}}");
    assert!(outcome(body.as_bytes(), BodyFormat::default()).is_ok());
    let body = format!("{{\"group_properties\":{{{good},{bad}\"x\":{{}}}}}}");
    assert_eq!(
        outcome(body.as_bytes(), BodyFormat::default()),
        Err(DecodeError::InvalidJson)
    );
}

#[test]
fn compression_bombs_stop_at_the_limit() {
    let bomb = gzip(&vec![b'['; 64 * 1024 * 1024]);
    let gzipped = BodyFormat {
        compression: Some(Compression::Gzip),
        ..BodyFormat::default()
    };
    assert_eq!(outcome(&bomb, gzipped), Err(DecodeError::TooLarge));
    assert_eq!(
        outcome(&gzip(&bomb), gzipped),
        Err(DecodeError::InvalidJson),
        "one layer only"
    );
}

fn config() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(22);
    }
    config
}

/// A request whose values need no escaping in a query, so that every encoding can hold it.
fn request() -> impl Strategy<Value = String> {
    (
        "[a-zA-Z0-9_]{0,20}",
        "[a-zäö ]{0,250}",
        any::<i64>(),
        any::<bool>(),
    )
        .prop_map(|(token, id, number, switch)| {
            serde_json::json!({
                "token": token,
                "distinct_id": id,
                "geoip_disable": switch,
                "person_properties": {"n": number, "f": number as f64 / 8.0, "t": id},
            })
            .to_string()
        })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&body);
        survives(&gzip(&body));
        survives(base64_simd::STANDARD.encode_to_string(&body).as_bytes());
    }

    #[test]
    fn any_text_of_json_like_letters_is_survived(body in "[\\[\\]{}:,\"'\\\\/*0-9eEx+.%&= a-f\u{0}\u{2028}ä]{0,120}") {
        survives(body.as_bytes());
        survives(format!("{{{body}}}").as_bytes());
        survives(format!("data={body}").as_bytes());
    }

    #[test]
    fn kept_bodies_are_survived_when_damaged(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_usize), 1..6),
    ) {
        let mut body = which.get(&corpus()).1.clone();
        for (at, byte, kind) in edits {
            if body.is_empty() {
                break;
            }
            let at = at.index(body.len());
            match kind {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => body.truncate(at),
            }
        }
        survives(&body);
    }

    #[test]
    fn every_encoding_gives_the_same_request(json in request()) {
        let plain = outcome(json.as_bytes(), BodyFormat::default()).unwrap();
        let text = base64_simd::STANDARD.encode_to_string(&json);
        let compressed = gzip(json.as_bytes());
        let packed = base64_simd::STANDARD.encode_to_string(&compressed);
        let escape = |text: &str| text.replace('%', "%25").replace('+', "%2B").replace('=', "%3D");
        let plain_bodies = [
            compressed.clone(),
            text.clone().into_bytes(),
            text.trim_end_matches('=').into(),
            gzip(text.as_bytes()),
        ];
        let forms = [
            format!("data={}", escape(&text)),
            format!("ip=1&data={}", escape(&text)),
            escape(&text),
            format!("data={}", escape(&packed)),
            format!("data={json}"),
        ];
        let bodies = plain_bodies.into_iter().flat_map(|body| [(TYPES[0], body.clone()), (TYPES[1], body)]);
        for (content_type, body) in bodies.chain(forms.map(|form| (TYPES[2], form.into_bytes()))) {
            let format = BodyFormat { content_type, ..BodyFormat::default() };
            prop_assert_eq!(outcome(&body, format), Ok(plain.clone()));
        }
    }

    #[test]
    fn a_peeked_token_is_the_decoded_one(json in request()) {
        let peeked = peek_token(json.as_bytes()).unwrap_or_default().to_owned();
        let mut scratch = DecodeScratch::new();
        let decoded = decode(&mut scratch, json.as_bytes(), BodyFormat::default(), &mut Kludges::default()).unwrap();
        prop_assert_eq!(decoded.request().token, Some(peeked.as_str()));
    }
}
