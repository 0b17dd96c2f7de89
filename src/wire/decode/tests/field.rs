//! From a document to the fields of a request.

use std::fmt::Write as _;

use super::*;
use crate::engine::RequestRuntime;

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
        r#"{"sent_at":{},"$lib":1,"uuid":[],"properties":"x","disable_geoip":"x"}"#,
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
