//! From bytes to a document: content types, compressions, base64, forms.

use super::*;

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
