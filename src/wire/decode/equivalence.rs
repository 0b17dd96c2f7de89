//! The strict parser and the tolerant reader give the same request for every body that both accept
//! (`decisions.md` 1), and the tolerant reader accepts whatever the strict one does.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use simd_json::{Node, Tape};

use super::super::json5::{Dialect, Json5Scratch};
use super::super::scratch::{Padded, Parser};
use super::fields::Fields;

/// The tape and the fields that the strict parser finds.
fn strictly<T>(document: &[u8], look: impl FnOnce(Option<(&[Node<'_>], Option<Fields>)>) -> T) -> T {
    let mut content = Padded::default();
    content.room(document.len()).copy_from_slice(document);
    let mut tape = Tape(Vec::new());
    let accepted = Parser::new().read_strict(&mut content, document.len(), &mut tape);
    look(accepted.then(|| (&*tape.0, Fields::find(&tape.0))))
}

/// Holds the two readers against each other; whether both accepted.
fn compare(document: &[u8]) -> Result<bool, TestCaseError> {
    let mut tolerant = Json5Scratch::default();
    let mut tape = Tape(Vec::new());
    let text = String::from_utf8_lossy(document);
    let json5 = tolerant.read(&text, Dialect::Json5).is_ok();
    tolerant.fill_tape(&mut tape);
    let mut strict_dialect = Json5Scratch::default();
    let plain = strict_dialect.read(&text, Dialect::Strict).is_ok();
    prop_assert!(json5 || !plain, "the larger dialect refuses");
    strictly(document, |strict| {
        let Some((nodes, fields)) = strict else {
            return Ok(false);
        };
        prop_assert!(json5 && plain, "only the strict parser accepts");
        prop_assert_eq!(nodes, &*tape.0);
        let request = |fields: Option<Fields>, nodes: &[Node<'_>]| {
            fields.map(|fields| {
                let mut number = String::new();
                fields.write_distinct_id_number(nodes, &mut number);
                format!("{:?}", fields.request(nodes, &number))
            })
        };
        prop_assert_eq!(request(fields, nodes), request(Fields::find(&tape.0), &tape.0));
        Ok(true)
    })
}

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|value| value.to_string()),
        any::<u64>().prop_map(|value| value.to_string()),
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(|value| format!("{value:e}")),
        "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?",
    ]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z$_ ]{1,6}",
        1 => "[^\"\\\\\u{0}-\u{1f}]{1,5}",
        1 => "\\\\[\"\\\\/bfnrt]",
        1 => "\\\\u[0-9a-fA-F]{4}",
        1 => Just("\\ud83d\\uDE00".to_owned()),
        1 => Just("x".repeat(70)),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number(),
        string(),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..5), blank()).prop_map(|(values, blank)| {
                format!("[{blank}{}{blank}]", values.join(&format!("{blank},")))
            }),
            object(string(), inner),
        ]
    })
}

fn object(
    key: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (prop::collection::vec((key, value), 0..6), blank()).prop_map(|(entries, blank)| {
        let entries: Vec<String> = entries
            .iter()
            .map(|(key, value)| format!("{blank}{key}{blank}:{blank}{value}{blank}"))
            .collect();
        format!("{{{blank}{}}}", entries.join(","))
    })
}

/// Requests whose fields mostly have the right type, some twice.
fn request() -> impl Strategy<Value = String> {
    let texts = prop::sample::select(vec![
        "token",
        "$token",
        "api_key",
        "distinct_id",
        "anon_distinct_id",
        "device_id",
        "timezone",
        "evaluation_runtime",
    ]);
    let objects = prop::sample::select(vec!["person_properties", "$properties", "groups"]);
    let entry = prop_oneof![
        3 => (texts, string()),
        1 => (Just("distinct_id"), number()),
        3 => (objects, object(string(), value())),
        1 => (Just("group_properties"), object(string(), object(string(), value()))),
        1 => (Just("flag_keys"), prop::collection::vec(string(), 0..3).prop_map(|keys| format!("[{}]", keys.join(",")))),
        1 => (Just("other"), value()),
        1 => (Just("token"), value()),
    ];
    (prop::collection::vec(entry, 0..6), blank()).prop_map(|(entries, blank)| {
        let entries: Vec<String> = entries
            .iter()
            .map(|(key, value)| format!("\"{key}\"{blank}:{blank}{value}"))
            .collect();
        format!("{blank}{{{}}}{blank}", entries.join(","))
    })
}

/// The same cases in every run.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 400,
        rng_seed: RngSeed::Fixed(54),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn requests_are_read_alike(document in request()) {
        compare(document.as_bytes())?;
    }

    #[test]
    fn arbitrary_documents_are_read_alike(document in value()) {
        compare(document.as_bytes())?;
    }

    #[test]
    fn numbers_are_read_alike(number in number()) {
        compare(number.as_bytes())?;
    }

    #[test]
    fn damaged_requests_are_read_alike(
        document in request(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}:,\"'\\\\0-9eE+./ a-z\t\u{0}]"), 1..4),
    ) {
        let mut bytes = document.into_bytes();
        for (at, replacement) in edits {
            let at = at.index(bytes.len());
            bytes.splice(at..=at, replacement.bytes());
            if bytes.is_empty() {
                break;
            }
        }
        compare(&bytes)?;
    }
}

#[test]
fn the_generators_mostly_make_what_both_accept() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let accepted = (0..200)
        .filter(|_| {
            let document = request().new_tree(&mut runner).unwrap().current();
            compare(document.as_bytes()).unwrap()
        })
        .count();
    assert!(accepted > 100, "{accepted} of 200");
}
