//! The rows of the table in `http.md` 5.4, column T.

use super::*;
use crate::engine::value::PropertyValue;

fn read_as(document: &str, dialect: Dialect) -> Option<String> {
    let mut scratch = Json5Scratch::default();
    scratch.read(document, dialect).ok()?;
    let mut tape = Tape(Vec::new());
    scratch.fill_tape(&mut tape);
    let mut out = String::new();
    PropertyValue::from_tape(&tape.0).write_json(&mut out);
    Some(out)
}

#[track_caller]
fn accepts(document: &str, expected: &str) {
    assert_eq!(
        read_as(document, Dialect::Json5).as_deref(),
        Some(expected),
        "{document}"
    );
}

#[track_caller]
fn refuses(document: &str) {
    assert_eq!(read_as(document, Dialect::Json5), None, "{document}");
}

#[test]
fn extensions_of_json5_are_read() {
    accepts("{/* c */a: 1, // d\n 'b': [1,2,],}", r#"{"a":1,"b":[1,2]}"#);
    accepts("{$k_1: +5, \\u0061ä: .5}", r#"{"$k_1":5,"aä":0.5}"#);
    accepts("[5., -.25e1, 0x10, -0XfF, +1e2]", "[5.0,-2.5,16,-255,100.0]");
    accepts(r#"'it\'s "q" \q\x41\v\0'"#, r#""it's \"q\" qA\u000b\u0000""#);
    accepts("'a\\\nb\\\r\nc\\\u{2028}d'", r#""abcd""#);
    accepts("\u{feff}\u{a0}[]\u{3000}", "[]");
    accepts("{null: 1, true: 2}", r#"{"null":1,"true":2}"#);
}

#[test]
fn numbers_that_are_not_finite_are_null() {
    accepts("[NaN, Infinity, -Infinity, +NaN]", "[null,null,null,null]");
    refuses("1e400");
    refuses("-1e400");
    refuses(&"9".repeat(400));
}

#[test]
fn large_integers_are_unsigned_and_then_floats() {
    accepts("9223372036854775807", "9223372036854775807");
    accepts("-9223372036854775808", "-9223372036854775808");
    accepts("9223372036854775808", "9223372036854775808");
    accepts("18446744073709551616", "1.8446744073709552e+19");
    accepts("-9223372036854775809", "-9.223372036854776e+18");
    accepts("0xffffffffffffffff", "18446744073709551615");
    accepts("0x10000000000000000", "1.8446744073709552e+19");
}

#[test]
fn control_characters_but_no_line_ends_stand_in_strings() {
    accepts("\"a\tb\0c\u{7f}\"", "\"a\\tb\\u0000c\u{7f}\"");
    accepts("\"a\u{2028}b\u{2029}c\"", "\"a\u{2028}b\u{2029}c\"");
    refuses("\"a\nb\"");
    refuses("\"a\rb\"");
}

#[test]
fn lone_surrogates_become_replacement_characters() {
    accepts(r#""\ud83d\ude00""#, "\"\u{1f600}\"");
    accepts(r#""\ud83d""#, "\"\u{fffd}\"");
    accepts(r#""\ude00x""#, "\"\u{fffd}x\"");
    accepts(r#""\ud83d\u0041""#, "\"\u{fffd}A\"");
    accepts(r#""\ud83d\ud83d\ude00""#, "\"\u{fffd}\u{1f600}\"");
    refuses(r#""\ud83""#);
    refuses(r#""\ud83d\u00""#);
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    accepts(&nested(DEPTH_MAX), &nested(DEPTH_MAX));
    refuses(&nested(DEPTH_MAX + 1));
    refuses(&"[".repeat(100_000));
    refuses(&"{a:".repeat(100_000));
}

#[test]
fn malformed_documents_are_refused() {
    for document in [
        "",
        " ",
        "/*",
        "/",
        "{",
        "[",
        "[,]",
        "{,}",
        "[1,,2]",
        "{a}",
        "{a:}",
        "{1a:1}",
        "01",
        "0x",
        "+",
        "-",
        ".",
        "1e",
        "1e+",
        "1.e",
        "--1",
        "tru",
        "nul",
        "'a",
        "\"a\\",
        "\"\\u12g4\"",
        "\"\\x4\"",
        "\"\\1\"",
        "\"\\01\"",
        "{} {}",
        "[] x",
        "{\"a\" 1}",
        "[1 2]",
        "e1",
        "5x",
        "Nan",
        "{\u{200d}a:1}",
    ] {
        refuses(document);
    }
}

#[test]
fn the_strict_dialect_keeps_only_the_tolerances_for_valid_looking_json() {
    for document in [
        "{a:1}",
        "{'a':1}",
        "[1,]",
        "// c\n1",
        "+1",
        ".5",
        "5.",
        "0x10",
        "NaN",
        "\"a\tb\"",
        "\"\\q\"",
        "\u{feff}1",
        "\u{a0}1",
    ] {
        assert_eq!(read_as(document, Dialect::Strict), None, "{document}");
    }
    assert_eq!(
        read_as(
            "{ \"a\" : [ 1 , \"\\ud83d\" , 18446744073709551616 , -0.5e1 ] }",
            Dialect::Strict
        )
        .as_deref(),
        Some("{\"a\":[1,\"\u{fffd}\",1.8446744073709552e+19,-5.0]}")
    );
}
