//! The vectors of `http.md` 22.1 and 22.2 as far as decoding decides them, and the rules behind them.

use std::fmt::Write as _;

use super::*;
use crate::engine::RequestRuntime;
use crate::engine::value::PropertyValue;
use crate::wire::gzip::tests::gzip;

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
fn plain_objects_in_each_content_type() {
    for content_type in [
        JSON,
        None,
        Some("text/plain; charset=UTF-8"),
        Some(" Application/JSON;x"),
    ] {
        assert_eq!(
            is_example(OBJECT, format_of(content_type, None)),
            Kludges::default()
        );
    }
    let unsupported = format_of(Some("application/xml"), None);
    is_refused(OBJECT, unsupported, "unsupported content type: application/xml");
    is_refused(OBJECT, format_of(Some(""), None), "unsupported content type: ");
}

#[test]
fn gzip_announced_in_each_way() {
    let body = gzip_object();
    let header = BodyFormat {
        content_encoding: Some("x, GZIP"),
        ..format_of(JSON, None)
    };
    assert_eq!(is_example(&body, header), Kludges::default());
    assert_eq!(
        is_example(&body, format_of(TEXT, Some(Compression::Gzip))),
        Kludges::default()
    );
    let detected = is_example(&body, format_of(TEXT, None));
    assert_eq!(detected.labels().collect::<Vec<_>>(), ["auto_detected_gzip"]);
    is_refused(
        OBJECT,
        format_of(JSON, Some(Compression::Gzip)),
        "invalid gzip header",
    );
    is_refused(&body[..60], format_of(JSON, None), "corrupt deflate stream");
    is_refused(&body, format_of(JSON, Some(Compression::Base64)), "invalid JSON");
}

#[test]
fn base64_with_and_without_padding() {
    let plain = is_example(BASE64, format_of(TEXT, None));
    assert_eq!(plain.labels().collect::<Vec<_>>(), ["base64_fallback_success"]);
    let cut = BASE64.trim_end_matches('=');
    let padded = is_example(cut, format_of(JSON, Some(Compression::Base64)));
    assert!(padded.padding_needed && padded.base64_fallback_success);
    is_example(BASE64.replace('M', " %4D "), format_of(JSON, None));
    is_example(gzip(BASE64.as_bytes()), format_of(JSON, None));
    is_refused(format!("data={BASE64}"), format_of(TEXT, None), "invalid JSON");
    let base64_of_gzip = base64_simd::STANDARD.encode_to_string(gzip_object());
    is_refused(base64_of_gzip, format_of(TEXT, None), "invalid JSON");
}

#[test]
fn json5_in_base64_is_read() {
    let text =
        base64_simd::STANDARD.encode_to_string("{token:'phc_exampleProjectToken0001',distinct_id:'user-1',}");
    is_example(text, format_of(TEXT, None));
}

#[test]
fn forms_as_upstream_reads_them() {
    for compression in [None, Some(Compression::Base64)] {
        let whole = is_example(FORM, format_of(FORM_TYPE, compression));
        assert!(!whole.missing_data_prefix);
        let bare = is_example(&FORM["data=".len()..], format_of(FORM_TYPE, compression));
        assert!(bare.missing_data_prefix);
    }
    let form = |compression| format_of(FORM_TYPE, compression);
    is_refused(
        FORM,
        form(Some(Compression::Gzip)),
        "Gzip compression not supported for form-urlencoded data",
    );
    is_refused(
        FORM,
        form(Some(Compression::Unsupported)),
        "Unsupported compression type",
    );
    is_refused(b"data=\xff", form(None), "Invalid UTF-8 in form data");
    is_refused("data=%ff", form(None), "Failed to URL decode form data");
    let not_base64 = "Base64 decoding error: invalid symbol, length or padding";
    is_refused("data=!!!!", form(None), not_base64);
    is_refused("data=QUJD", form(None), "invalid JSON structure");
    let json5 = base64_simd::STANDARD.encode_to_string("{token:'t'}");
    is_refused(format!("data={json5}"), form(None), "invalid JSON structure");
}

#[test]
fn forms_that_only_we_read() {
    let form = format_of(FORM_TYPE, None);
    is_example(format!("ip=1&{FORM}&ver=1.2"), form);
    is_example(format!("{FORM}&ip=1"), form);
    is_example(
        format!("data={}", OBJECT.replace('"', "%22").replace('{', "%7B")),
        form,
    );
    is_example(format!("data={OBJECT}"), form);
    let base64_of_gzip = base64_simd::STANDARD.encode_to_string(gzip_object());
    is_example(format!("data={base64_of_gzip}"), form);
    let encoded = "data=%7B%22token%22%3A+%22a+b%2Bc%22%7D";
    with(encoded, form, |request, _| {
        assert_eq!(request.token, Some("a b+c"))
    })
    .unwrap();
}

#[test]
fn the_compression_parameter_may_be_unsupported() {
    let format = format_of(JSON, Some(Compression::Unsupported));
    is_refused(OBJECT, format, "Unsupported compression type");
}

#[test]
fn what_is_no_object_is_invalid_json() {
    for body in [
        "", " ", "null", "[]", "\"text\"", "5", "{}}", "{\"a\"", "[{}]", "\0",
    ] {
        is_refused(body, format_of(JSON, None), "invalid JSON");
    }
}

#[test]
fn a_full_size_body_is_read() {
    let head = r#"{"token":"t","person_properties":{"a":""#;
    let filling = "x".repeat(2_097_152 - head.len() - 3);
    let body = format!("{head}{filling}\"}}}}");
    assert_eq!(body.len(), 2_097_152);
    json(&body, |request| assert_eq!(request.token, Some("t"))).unwrap();
}

#[test]
fn a_body_that_inflates_beyond_the_limit_is_too_large() {
    let body = gzip(&vec![b' '; 4_194_305]);
    let error = with(&body, format_of(JSON, None), |_, _| ()).unwrap_err();
    assert_eq!(
        error,
        "Decompressed request body exceeded 4194304 bytes (got 4194305). If this is a legitimate workload, contact PostHog support."
    );
    let mut longest = OBJECT.as_bytes().to_vec();
    longest.resize(4_194_304, b' ');
    is_example(gzip(&longest), format_of(JSON, None));
}

#[test]
fn json5_is_read() {
    json("{token:'phc_a',distinct_id:'u',}", |request| {
        assert_eq!((request.token, request.distinct_id), (Some("phc_a"), Some("u")));
    })
    .unwrap();
}

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    let body = b"{\"token\":\"t\",\"person_properties\":{\"a\":\"x\xffy\"}}";
    with(body, format_of(JSON, None), |request, kludges| {
        let value = request.person_properties.unwrap().get("a");
        assert_eq!(value, Some(PropertyValue::Str("x\u{fffd}y")));
        assert!(kludges.lossy_utf8);
    })
    .unwrap();
}

#[test]
fn absent_and_null_fields_are_absent() {
    for body in [
        "{}",
        r#"{"token":null,"distinct_id":null,"geoip_disable":null,"groups":null,"flag_keys":null,"device_id":null,
            "evaluation_runtime":null,"group_properties":null,"person_properties":null,"ip_address":null}"#,
    ] {
        json(body, |request| assert_eq!(request, FlagRequest::default())).unwrap();
    }
}

#[test]
fn every_field_and_alias_is_read() {
    let names = [
        "token",
        "distinct_id",
        "person_properties",
        "groups",
        "group_properties",
        "anon_distinct_id",
        "device_id",
        "flag_keys",
        "evaluation_contexts",
    ];
    let aliases = [
        "$token",
        "$distinct_id",
        "$properties",
        "$groups",
        "$group_properties",
        "$anon_distinct_id",
        "$device_id",
        "flag_keys_to_evaluate",
        "evaluation_environments",
    ];
    let values = [
        r#""t""#,
        r#""d""#,
        r#"{"p":1}"#,
        r#"{"g":"x"}"#,
        r#"{"g":{"k":1}}"#,
        r#""a""#,
        r#""v""#,
        r#"["f"]"#,
        r#"["e","c"]"#,
    ];
    for keys in [names, aliases] {
        let mut body = String::from(
            r#"{"geoip_disable":true,"disable_flags":true,"timezone":"UTC","cookieless_hash_extra":"x","evaluation_runtime":"all""#,
        );
        for (key, value) in keys.iter().zip(values) {
            write!(body, ",\"{key}\":{value}").unwrap();
        }
        body.push('}');
        json(&body, |request| {
            assert_eq!(request.token, Some("t"));
            assert_eq!(request.distinct_id, Some("d"));
            assert!(request.geoip_disable && request.disable_flags);
            let integer = Some(PropertyValue::I64(1));
            assert_eq!(request.person_properties.unwrap().get("p"), integer);
            assert_eq!(request.groups.unwrap().get("g"), Some(PropertyValue::Str("x")));
            let Some(PropertyValue::Object(group)) = request.group_properties.unwrap().get("g") else {
                panic!("not an object");
            };
            assert_eq!(group.get("k"), integer);
            assert_eq!(request.anon_distinct_id, Some("a"));
            assert_eq!(request.device_id, Some("v"));
            let keys: Vec<_> = request.flag_keys.unwrap().iter().collect();
            assert_eq!(keys, [PropertyValue::Str("f")]);
            assert_eq!(request.evaluation_contexts.unwrap().len(), 2);
            assert_eq!(request.timezone, Some("UTC"));
            assert_eq!(request.cookieless_hash_extra, Some("x"));
            assert_eq!(request.evaluation_runtime, Some(RequestRuntime::All));
        })
        .unwrap();
    }
}

#[test]
fn wrong_types_are_refused() {
    for field in [
        r#""token":5"#,
        r#""distinct_id":true"#,
        r#""distinct_id":[]"#,
        r#""distinct_id":{}"#,
        r#""geoip_disable":"true""#,
        r#""geoip_disable":1"#,
        r#""disable_flags":0"#,
        r#""person_properties":"x""#,
        r#""person_properties":[1]"#,
        r#""groups":5"#,
        r#""group_properties":{"a":"x"}"#,
        r#""group_properties":{"a":[1]}"#,
        r#""group_properties":[{}]"#,
        r#""anon_distinct_id":5"#,
        r#""device_id":5"#,
        r#""flag_keys":"a""#,
        r#""flag_keys":["a",1]"#,
        r#""flag_keys":["a",["b"]]"#,
        r#""flag_keys":{}"#,
        r#""timezone":1"#,
        r#""evaluation_contexts":[null]"#,
        r#""evaluation_runtime":1"#,
        r#""cookieless_hash_extra":{}"#,
        r#""ip_address":1"#,
    ] {
        is_refused(format!("{{{field}}}"), format_of(JSON, None), "invalid JSON");
    }
    json(
        r#"{"sent_at":{},"$lib":1,"uuid":[],"properties":"x","disable_geoip":true}"#,
        |request| {
            assert_eq!(request, FlagRequest::default());
        },
    )
    .unwrap();
}

#[test]
fn a_field_and_its_alias_are_refused_but_the_last_of_equal_keys_counts() {
    for body in [
        r#"{"token":"a","api_key":"a"}"#,
        r#"{"token":null,"$token":"a"}"#,
        r#"{"distinct_id":"a","$distinct_id":null}"#,
        r#"{"evaluation_contexts":[],"evaluation_environments":[]}"#,
    ] {
        is_refused(body, format_of(JSON, None), "invalid JSON");
    }
    json(r#"{"token":5,"token":"a","groups":{"g":1,"g":2}}"#, |request| {
        assert_eq!(request.token, Some("a"));
        assert_eq!(request.groups.unwrap().get("g"), Some(PropertyValue::I64(2)));
    })
    .unwrap();
    json(r#"{"group_properties":{"g":5,"g":{}}}"#, |_| ()).unwrap();
    is_refused(
        r#"{"group_properties":{"g":{},"g":5}}"#,
        format_of(JSON, None),
        "invalid JSON",
    );
}

#[test]
fn empty_arrays_stand_for_empty_objects() {
    json(
        r#"{"person_properties":[],"groups":[],"group_properties":{"a":[],"b":null,"c":{}}}"#,
        |request| {
            assert!(request.person_properties.unwrap().is_empty());
            assert!(request.groups.unwrap().is_empty());
            assert_eq!(request.group_properties.unwrap().len(), 3);
        },
    )
    .unwrap();
    json(r#"{"group_properties":[]}"#, |request| {
        assert!(request.group_properties.unwrap().is_empty());
    })
    .unwrap();
}

#[test]
fn a_numeric_distinct_id_is_its_json_text() {
    for (number, text) in [
        ("42", "42"),
        ("-7", "-7"),
        ("1.50", "1.5"),
        ("1e3", "1000.0"),
        ("123.45", "123.45"),
        ("5.0", "5.0"),
        ("-0", "0"),
        ("1e21", "1e+21"),
        ("1e-7", "1e-7"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        ("0x10", "16"),
        ("9007199254740993", "9007199254740993"),
    ] {
        json(&format!(r#"{{"distinct_id":{number}}}"#), |request| {
            assert_eq!(request.distinct_id, Some(text));
        })
        .unwrap();
    }
    json(r#"{"distinct_id":NaN}"#, |request| {
        assert_eq!(request.distinct_id, None)
    })
    .unwrap();
}

#[test]
fn floats_have_the_text_that_serde_json_gives_them() {
    for number in [
        0.1,
        1e15,
        1e16,
        123456789012345680.0,
        1e17,
        1e22,
        1.5e300,
        5e-324,
        1e-5,
        0.00012,
        -2.5e-9,
    ] {
        let expected = serde_json::to_string(&number).unwrap();
        json(&format!(r#"{{"distinct_id":{number:e}}}"#), |request| {
            assert_eq!(request.distinct_id, Some(expected.as_str()));
        })
        .unwrap();
    }
}

#[test]
fn long_distinct_ids_are_cut_by_characters() {
    let cut_of = |id: &str| {
        json(&format!(r#"{{"distinct_id":"{id}"}}"#), |request| {
            request.distinct_id.map(str::to_owned)
        })
        .unwrap()
        .unwrap()
    };
    assert_eq!(cut_of(""), "");
    assert_eq!(cut_of(&"a".repeat(200)), "a".repeat(200));
    assert_eq!(cut_of(&"a".repeat(300)), "a".repeat(200));
    assert_eq!(cut_of(&"ä".repeat(200)), "ä".repeat(200));
    assert_eq!(cut_of(&"ä".repeat(201)), "ä".repeat(200));
    let anonymous = format!(r#"{{"anon_distinct_id":"{}"}}"#, "a".repeat(300));
    json(&anonymous, |request| {
        assert_eq!(request.anon_distinct_id.map(str::len), Some(300))
    })
    .unwrap();
}

#[test]
fn the_device_falls_back_to_the_person_properties() {
    for (body, device) in [
        (
            r#"{"device_id":"a","person_properties":{"$device_id":"b"}}"#,
            Some("a"),
        ),
        (
            r#"{"device_id":"","person_properties":{"$device_id":"b"}}"#,
            Some("b"),
        ),
        (r#"{"person_properties":{"$device_id":"b"}}"#, Some("b")),
        (r#"{"person_properties":{"$device_id":""}}"#, None),
        (r#"{"person_properties":{"$device_id":5}}"#, None),
        (r#"{"device_id":""}"#, None),
    ] {
        json(body, |request| assert_eq!(request.device_id, device, "{body}")).unwrap();
    }
}

#[test]
fn runtimes_ignore_letter_case_and_unknown_ones_are_all() {
    for (name, runtime) in [
        ("SERVER", RequestRuntime::Server),
        ("Client", RequestRuntime::Client),
        ("all", RequestRuntime::All),
        ("banana", RequestRuntime::All),
    ] {
        json(&format!(r#"{{"evaluation_runtime":"{name}"}}"#), |request| {
            assert_eq!(request.evaluation_runtime, Some(runtime));
        })
        .unwrap();
    }
}

#[test]
fn an_empty_list_of_flag_keys_is_kept() {
    json(r#"{"flag_keys":[]}"#, |request| {
        assert_eq!(request.flag_keys.unwrap().len(), 0)
    })
    .unwrap();
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
