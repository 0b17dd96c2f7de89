//! The vectors of `http.md` 22.1 and 22.2 as far as decoding decides them, and the rules behind them.

use super::*;
use crate::engine::value::PropertyValue;
use crate::wire::gzip::tests::gzip;

mod encoding;
mod field;

const OBJECT: &str = r#"{"token":"phc_exampleProjectToken0001","distinct_id":"user-1"}"#;
const BASE64: &str = "eyJ0b2tlbiI6InBoY19leGFtcGxlUHJvamVjdFRva2VuMDAwMSIsImRpc3RpbmN0X2lkIjoidXNlci0xIn0=";
const FORM: &str =
    "data=eyJ0b2tlbiI6InBoY19leGFtcGxlUHJvamVjdFRva2VuMDAwMSIsImRpc3RpbmN0X2lkIjoidXNlci0xIn0%3D";
const GZIP_HEX: &str = "1f8b08000000000000ffab562ac9cf4ecd53b2522ac8488e4fad48cc2dc8490d28cacf4a4d2e0901c9181818182ae928a564169764e62597c467a600d59616a716e91a2ad5020061e04b0c3e000000";

const JSON: Option<&str> = Some("application/json");
const TEXT: Option<&str> = Some("text/plain");
const FORM_TYPE: Option<&str> = Some("application/x-www-form-urlencoded");

fn gzip_object() -> Vec<u8> {
    let digits = GZIP_HEX.as_bytes();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn format_of(content_type: Option<&str>, compression: Option<Compression>) -> BodyFormat<'_> {
    BodyFormat {
        content_type,
        content_encoding: None,
        compression,
    }
}

/// Decodes with fresh memory and hands the request over.
fn with<T>(
    body: impl AsRef<[u8]>,
    format: BodyFormat<'_>,
    look: impl FnOnce(FlagRequest<'_>, Kludges) -> T,
) -> Result<T, String> {
    let mut kludges = Kludges::default();
    let mut scratch = DecodeScratch::new();
    let decoded =
        decode(&mut scratch, body.as_ref(), format, &mut kludges).map_err(|error| error.to_string())?;
    Ok(look(decoded.request(), kludges))
}

/// Decodes JSON and hands the request over.
fn json<T>(body: &str, look: impl FnOnce(FlagRequest<'_>) -> T) -> Result<T, String> {
    with(body, format_of(JSON, None), |request, _| look(request))
}

#[track_caller]
fn is_example(body: impl AsRef<[u8]>, format: BodyFormat<'_>) -> Kludges {
    with(body, format, |request, kludges| {
        assert_eq!(request.token, Some("phc_exampleProjectToken0001"));
        assert_eq!(request.distinct_id, Some("user-1"));
        kludges
    })
    .unwrap()
}

#[track_caller]
fn is_refused(body: impl AsRef<[u8]>, format: BodyFormat<'_>, text: &str) {
    assert_eq!(
        with(body, format, |_, _| ()).unwrap_err(),
        format!("Failed to decode request: {text}. Please check your request format and try again.")
    );
}

#[test]
fn both_readers_limit_nesting_alike() {
    let nested = |depth: usize, quote: char| {
        let (open, close) = ("[".repeat(depth - 2), "]".repeat(depth - 2));
        format!("{{{quote}person_properties{quote}:{{{quote}a{quote}:{open}{close}}}}}")
    };
    for quote in ['"', '\''] {
        json(&nested(128, quote), |_| ()).unwrap();
        is_refused(nested(129, quote), format_of(JSON, None), "invalid JSON");
    }
}

#[test]
fn strict_parsing_counts_the_nodes_after_a_composite() {
    let body = r#"{"person_properties":{"a":[1,[],{"b":2}],"c":3},"groups":{"d":"e"}}"#;
    json(body, |request| {
        let properties = request.person_properties.unwrap();
        let keys: Vec<&str> = properties.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "c"]);
        let Some(PropertyValue::Array(array)) = properties.get("a") else {
            panic!("not an array");
        };
        assert_eq!((array.len(), array.iter().count()), (3, 3));
        assert_eq!(properties.get("c"), Some(PropertyValue::I64(3)));
        assert_eq!(request.groups.unwrap().get("d"), Some(PropertyValue::Str("e")));
    })
    .unwrap();
}

#[test]
fn scratch_serves_requests_of_all_kinds_in_turn() {
    let mut scratch = DecodeScratch::new();
    let gzipped = gzip_object();
    for round in 0..3 {
        for (body, content_type) in [
            (OBJECT.as_bytes(), JSON),
            (&gzipped, JSON),
            (BASE64.as_bytes(), TEXT),
            (FORM.as_bytes(), FORM_TYPE),
            (
                b"{token:'phc_exampleProjectToken0001',distinct_id:'user-1'}",
                JSON,
            ),
            (b"broken", JSON),
        ] {
            let mut kludges = Kludges::default();
            let format = format_of(content_type, None);
            match decode(&mut scratch, body, format, &mut kludges) {
                Ok(decoded) => assert_eq!(decoded.request().distinct_id, Some("user-1"), "{round}"),
                Err(error) => assert_eq!((body, error), (&b"broken"[..], DecodeError::InvalidJson)),
            }
        }
    }
}

#[test]
fn the_tape_goes_home_and_outsized_memory_goes_away() {
    let mut scratch = DecodeScratch::new();
    let mut kludges = Kludges::default();
    let elements = "0,".repeat(100_000);
    let body = format!(r#"{{"person_properties":{{"a":[{elements}0]}}}}"#);
    decode(&mut scratch, body.as_bytes(), BodyFormat::default(), &mut kludges).unwrap();
    assert!(scratch.tape.0.capacity() > 100_000);
    scratch.shrink_to_cap();
    assert_eq!(scratch.tape.0.capacity(), 0);
    assert!(scratch.kept_bytes() < 1024 * 1024);
    decode(
        &mut scratch,
        OBJECT.as_bytes(),
        BodyFormat::default(),
        &mut kludges,
    )
    .unwrap();
    let kept = scratch.kept_bytes();
    scratch.shrink_to_cap();
    assert_eq!(scratch.kept_bytes(), kept);
    assert!(scratch.tape.0.capacity() > 0);
}

#[test]
fn scratch_can_wait_in_a_future_that_moves_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<DecodeScratch>();
    assert_send::<Decoded<'_>>();
}
