//! Random property, flag and cohort filters.

use serde_json::{Value, json};

use super::choose;
use super::vocabulary::{self, GROUP_KEYS, Kind, PERSON_KEYS};
use crate::reference::prng::Prng;

/// A property filter on the person.
pub fn person(random: &mut Prng) -> Value {
    property(random, "person", PERSON_KEYS)
}

/// A property filter on a group, with or without its own index.
pub fn group(random: &mut Prng) -> Value {
    let mut filter = property(random, "group", GROUP_KEYS);
    match random.weighted(&[50, 20, 8, 4, 12, 6]) {
        0 => filter["group_type_index"] = json!(0),
        1 => filter["group_type_index"] = json!(1),
        2 => filter["group_type_index"] = json!(2),
        3 => filter["group_type_index"] = json!(5),
        4 => {}
        _ => filter["group_type_index"] = json!(null),
    }
    filter
}

/// Operator families with the kind of key they are meant for.
const FAMILIES: &[(usize, Kind, &[&str])] = &[
    (26, Kind::Word, &["exact", "is_not"]),
    (8, Kind::Boolean, &["exact", "is_not"]),
    (6, Kind::Composite, &["exact", "is_not"]),
    (4, Kind::Number, &["exact", "is_not"]),
    (10, Kind::Word, &["icontains", "not_icontains"]),
    (6, Kind::Word, &["icontains_multi", "not_icontains_multi"]),
    (
        8,
        Kind::Word,
        &["starts_with", "not_starts_with", "ends_with", "not_ends_with"],
    ),
    (9, Kind::Word, &["regex", "not_regex"]),
    (12, Kind::Number, &["gt", "gte", "lt", "lte"]),
    (6, Kind::Number, &["between", "not_between"]),
    (
        14,
        Kind::Version,
        &[
            "semver_gt",
            "semver_gte",
            "semver_lt",
            "semver_lte",
            "semver_eq",
            "semver_neq",
        ],
    ),
    (
        9,
        Kind::Version,
        &["semver_tilde", "semver_caret", "semver_wildcard"],
    ),
    (8, Kind::Word, &["is_set", "is_not_set"]),
    (
        14,
        Kind::Date,
        &["is_date_exact", "is_date_after", "is_date_before"],
    ),
    (1, Kind::Word, &["in", "not_in", "flag_evaluates_to"]),
];

fn property(random: &mut Prng, kind: &str, keys: &[(&str, Kind)]) -> Value {
    let weights: Vec<usize> = FAMILIES.iter().map(|(weight, _, _)| *weight).collect();
    let (_, wanted, operators) = FAMILIES[random.weighted(&weights)];
    let operator = *random.pick(operators);
    let fitting: Vec<&(&str, Kind)> = keys.iter().filter(|(_, kind)| *kind == wanted).collect();
    // A version is a date to a lenient parser, so dates are not asked of version keys.
    let others: Vec<&(&str, Kind)> = keys
        .iter()
        .filter(|(_, kind)| wanted != Kind::Date || *kind != Kind::Version)
        .collect();
    let (key, _) = if fitting.is_empty() || random.chance(12) {
        *random.pick(&others)
    } else {
        *random.pick(&fitting)
    };
    let mut filter = json!({"key": key, "type": kind, "operator": operator});
    if !random.chance(4) {
        filter["value"] = operand(random, operator, wanted);
    }
    if operator == "exact" && random.chance(15) {
        filter["operator"] = json!(null);
    }
    if random.chance(5) {
        filter["negation"] = json!(random.chance(50));
    }
    filter
}

fn operand(random: &mut Prng, operator: &str, kind: Kind) -> Value {
    let misfit = random.chance(8);
    match operator {
        "is_date_exact" | "is_date_after" | "is_date_before" => date_operand(random, misfit),
        _ if misfit => vocabulary::wild(random),
        "exact" | "is_not" => equality_operand(random, kind),
        "icontains" | "not_icontains" => choose!(
            random,
            [
                "PRO",
                "o",
                "@posthog",
                "",
                "ä",
                "Ä",
                "tru",
                "ul",
                "[\"a",
                ["a"],
                5,
                "value"
            ]
        ),
        "icontains_multi" | "not_icontains_multi" => choose!(
            random,
            [
                ["pro", "free"],
                ["foo", "BAR"],
                ["ENTER"],
                [],
                "bar",
                [3, null],
                [""],
                ["@posthog", "ß"]
            ]
        ),
        "starts_with" | "not_starts_with" | "ends_with" | "not_ends_with" => choose!(
            random,
            ["P", "pro", "X@", "e", "", "ß", "O", "b", 5, "com", ["a"]]
        ),
        "regex" | "not_regex" => choose!(
            random,
            [
                "^pro$",
                "(?i)^PRO$",
                "\\d+",
                "^a.*b$",
                "[",
                "(?<=a)b",
                "(?!pro)^.+$",
                "(",
                "^null$",
                "true",
                "^b$",
                "(?m)^b$",
                "(.)\\1",
                "^(a|aa)+\\1c$",
                "\\bpro\\b",
                "^\\w+$",
                "",
                "x",
                5,
                "(?P<n>a)\\k<n>",
                "@",
                "(?=p)(?>p|pr)o",
                "a{2,1}",
                "a{2,3}",
                "*"
            ]
        ),
        "gt" | "gte" | "lt" | "lte" => choose!(
            random,
            [
                5,
                5.0,
                "5",
                18,
                0,
                "1e3",
                "inf",
                "ten",
                [10],
                "NaN",
                true,
                17.5,
                -2
            ]
        ),
        "between" | "not_between" => choose!(
            random,
            [
                [1, 5],
                [0, 1000],
                [-2, 18],
                ["1", "5"],
                [5, 5],
                [5, 1],
                [1],
                [1, 5, 9],
                "1,5",
                ["a", 5],
                [0, "inf"],
                ["NaN", 1]
            ]
        ),
        "semver_wildcard" => choose!(
            random,
            [
                "1.2.*",
                "1.*",
                "*",
                "1.*.*",
                "1.*.3",
                "1.2.3",
                "3.08.*",
                "v1.2.*",
                ">=1.2.0",
                ">=1.2.0, <2.0.0",
                "latest",
                "0.2.*",
                "1.2.3-alpha"
            ]
        ),
        other if other.starts_with("semver_") => vocabulary::value(random, Kind::Version),
        _ => vocabulary::wild(random),
    }
}

/// Only texts that the deterministic rules decide, or that no parser takes for a date.
fn date_operand(random: &mut Prng, misfit: bool) -> Value {
    if misfit {
        return choose!(
            random,
            [true, null, ["2024-06-01"], 1_717_200_000, "soon", "", "pro"]
        );
    }
    loop {
        let value = vocabulary::value(random, Kind::Date);
        // A text of digits is left to the best-effort parser on this side.
        if value.as_str().is_none_or(|text| text.parse::<f64>().is_err()) {
            return value;
        }
    }
}

fn equality_operand(random: &mut Prng, kind: Kind) -> Value {
    match random.weighted(&[60, 22, 10, 8]) {
        0 => vocabulary::value(random, kind),
        1 => {
            let count = random.below(4);
            (0..count).map(|_| vocabulary::value(random, kind)).collect()
        }
        2 => choose!(
            random,
            [
                "true",
                "false",
                true,
                false,
                ["true"],
                ["true", "false"],
                [],
                ["TRUE", "x"]
            ]
        ),
        _ => vocabulary::wild(random),
    }
}

/// A flag filter of flag `own`; targets are mostly flags with lower ids, so that chains are more common
/// than cycles.
pub fn flag(random: &mut Prng, own: usize, flag_count: usize) -> Value {
    let target = match random.weighted(&[80, 11, 4, 5]) {
        0 if own > 1 => (1 + random.below(own - 1)).to_string(),
        0 | 1 => (1 + random.below(flag_count)).to_string(),
        2 => "99".to_owned(),
        _ => (*random.pick(&["abc", "", "1.0"])).to_owned(),
    };
    let mut filter = json!({"key": target, "type": "flag"});
    match random.weighted(&[92, 3, 3, 2]) {
        0 => filter["operator"] = json!("flag_evaluates_to"),
        1 => filter["operator"] = json!("exact"),
        2 => filter["operator"] = json!(null),
        _ => {}
    }
    if !random.chance(3) {
        filter["value"] = choose!(
            random,
            [
                true,
                true,
                true,
                true,
                false,
                false,
                false,
                "control",
                "test",
                "compact",
                "Control",
                "true",
                5,
                "holdout-7",
                ["control"]
            ]
        );
    }
    if random.chance(10) {
        filter["negation"] = json!(true);
    }
    filter
}

/// A cohort filter; `ids` are those that may exist.
pub fn cohort(random: &mut Prng, ids: std::ops::RangeInclusive<i64>) -> Value {
    let count = usize::try_from(ids.end() - ids.start() + 1).expect("a short range");
    let offset = i64::try_from(random.below(count)).expect("a short range");
    let value = match random.weighted(&[94, 2, 1, 1, 1]) {
        0 => json!(ids.start() + offset),
        1 => json!(77),
        2 => json!("1"),
        3 => json!(1.0),
        _ => json!(null),
    };
    let mut filter = json!({"key": "id", "type": "cohort", "value": value});
    match random.weighted(&[50, 15, 28, 4, 3]) {
        0 => filter["operator"] = json!("in"),
        1 => {}
        2 => filter["operator"] = json!("not_in"),
        3 => filter["operator"] = json!("exact"),
        _ => filter["operator"] = json!(null),
    }
    filter
}
