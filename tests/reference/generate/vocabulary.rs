//! The words random cases are made of.

use serde_json::{Value, json};

use super::choose;
use crate::reference::prng::Prng;

/// What a key usually holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Word,
    Number,
    Version,
    Date,
    Boolean,
    Composite,
}

/// Person property names; `never` is never set.
pub const PERSON_KEYS: &[(&str, Kind)] = &[
    ("plan", Kind::Word),
    ("email", Kind::Word),
    ("age", Kind::Number),
    ("score", Kind::Number),
    ("version", Kind::Version),
    ("$app_version", Kind::Version),
    ("$initial_app_version", Kind::Version),
    ("joined", Kind::Date),
    ("active", Kind::Boolean),
    ("tags", Kind::Composite),
    ("$os", Kind::Word),
    ("$os_name", Kind::Word),
    ("$initial_os", Kind::Word),
    ("utm_source", Kind::Word),
    ("$initial_utm_source", Kind::Word),
    ("$initial__kx", Kind::Word),
    ("_kx", Kind::Word),
    ("distinct_id", Kind::Word),
    ("never", Kind::Word),
];

/// Group property names.
pub const GROUP_KEYS: &[(&str, Kind)] = &[
    ("plan", Kind::Word),
    ("seats", Kind::Number),
    ("version", Kind::Version),
    ("joined", Kind::Date),
    ("$group_key", Kind::Word),
];

/// Clocks near leap days and changes of the clock.
pub const CLOCKS: [&str; 6] = [
    "2024-07-15T12:00:00+00:00",
    "2024-03-31T10:30:00+00:00",
    "2024-10-27T13:30:00.25+00:00",
    "2024-02-29T23:59:59+00:00",
    "2025-01-31T00:00:00+00:00",
    "2024-11-03T09:15:00+00:00",
];

/// Team timezones.
pub const ZONES: [&str; 4] = ["UTC", "Europe/Oslo", "America/New_York", "Asia/Kathmandu"];

/// A list of contexts.
pub fn contexts(random: &mut Prng) -> Vec<String> {
    ["app", "docs", "Docs"]
        .iter()
        .filter(|_| random.chance(45))
        .map(|name| (*name).to_owned())
        .collect()
}

/// A property value: mostly of the kind of its key.
pub fn stored(random: &mut Prng, kind: Kind) -> Value {
    if random.chance(88) {
        value(random, kind)
    } else {
        wild(random)
    }
}

/// A value that fits no key in particular. Versions and dates stay with their own keys: some of their
/// texts are dates to a lenient parser.
pub fn wild(random: &mut Prng) -> Value {
    let kind = *random.pick(&[Kind::Word, Kind::Number, Kind::Boolean, Kind::Composite]);
    value(random, kind)
}

/// A value of a kind; each kind has a few members that do not belong.
pub fn value(random: &mut Prng, kind: Kind) -> Value {
    match kind {
        Kind::Word => choose!(
            random,
            [
                "pro",
                "pro",
                "PRO",
                "free",
                "enterprise",
                "x@PostHog.com",
                "x@posthog.com",
                "ß",
                "SS",
                "Ä",
                "ä",
                "",
                "my value",
                "rebar",
                "true",
                "null",
                "a\nb",
                "ab",
                "aa",
                "İstanbul",
                "ΟΔΟΣ",
                "οδος",
                "5",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
                "org-9",
                "😀"
            ]
        ),
        Kind::Number => choose!(
            random,
            [
                0,
                1,
                3,
                5,
                5.0,
                5.01,
                18,
                17.5,
                1000,
                -1.5,
                -7,
                "5",
                "5.0",
                "1e3",
                "10",
                "+3",
                ".5",
                "5.",
                "ten",
                " 11",
                "NaN",
                "inf",
                "-Infinity",
                9_007_199_254_740_993_i64,
                0.1,
                1e-7
            ]
        ),
        Kind::Version => choose!(
            random,
            [
                "1.2.3",
                "1.2.3",
                "v1.2.3",
                "1.2",
                "1.2.9",
                "1.2.4",
                "3.08",
                "3.8.1",
                "1.2.3-rc.1",
                "1.2.3-alpha.2",
                "1.2.3-alpha.10",
                "1.2.3-alpha",
                "1.2.3-beta",
                "1.2.3+b7",
                "1.2.3+b8",
                "1.2.3.4",
                "V1.2.3",
                "latest",
                1.2,
                2,
                "2.0.0",
                "0.2.9",
                "0.2.3",
                "0.0.3",
                "0.0.4",
                "1.9.0",
                "1.3.0-beta",
                "v 1.2.3",
                " 1.2.3",
                "1.2.3-01",
                "18446744073709551616.0.0"
            ]
        ),
        Kind::Date => choose!(
            random,
            [
                "2024-06-01",
                "2024-06-01",
                "2024-06-01T00:00:00Z",
                "2024-06-01T10:00:00Z",
                "2024-05-31T22:00:00Z",
                "2024-06-01 00:00:01",
                "2024-06-01 12:30",
                "2024-06-01T12:30",
                "2024-06-01T12:00:00.5",
                "2024-06-01T12:00:00+02:00",
                "2024-03-31T02:30:00",
                "2024-10-27T02:30:00",
                "2024-10-27 01:30",
                "2024-11-03 01:30",
                "2024-03-10T02:30:00",
                "2024-6-1",
                "2024-07-14",
                "2025-01-01",
                "1990-01-01",
                1_717_200_000,
                "1717200000",
                1_717_200_000.5,
                -1.5,
                "-7d",
                "7d",
                "-1h",
                "2w",
                "1m",
                "-2m",
                "1y",
                "9999d",
                "10000d",
                "0d",
                "soon",
                "",
                true
            ]
        ),
        Kind::Boolean => choose!(
            random,
            [
                true, true, false, false, "true", "True", "FALSE", "false", "yes", 1, 0, null
            ]
        ),
        Kind::Composite => choose!(random, [
            ["a", "b"], ["a"], ["pro"], {"a": 1}, [], {}, null, [1, 2], [null], {"b": ["ä\"", 5.0]}, [true, "TRUE"]
        ]),
    }
}

/// A rollout percentage, or none to leave the key out.
pub fn rollout(random: &mut Prng) -> Option<Value> {
    let value = match random.weighted(&[8, 6, 30, 9, 10, 26, 3, 3, 3, 4]) {
        0 => return None,
        1 => json!(null),
        2 => json!(100),
        3 => json!(0),
        4 => json!(50),
        5 => json!(random.below(100)),
        6 => json!(33.33),
        7 => json!(150),
        8 => json!(-1),
        _ => json!(100.0),
    };
    Some(value)
}
