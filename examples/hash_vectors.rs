//! Checks hash vectors and lists of identifiers against the engine.
//!
//! ```text
//! hash_vectors FILE...
//! ```
//!
//! A file holds either `vectors`, `threshold_vectors`, `variant_vectors` and `seed_parity` (each part is optional), or a
//! flag and the answers of a run of identifiers. Prints `name ok/total` a file and what failed; exit code 1 then.

#[path = "../tests/support/case.rs"]
mod case;

use std::path::Path;
use std::process::ExitCode;

use feature_flags::engine::{Rollout, compile, hash, hash60};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut failed = false;
    for path in std::env::args().skip(1) {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                println!("FAIL {path}: {error}");
                failed = true;
                continue;
            }
        };
        let document: Value = match serde_json::from_str(&text) {
            Ok(document) => document,
            Err(error) => {
                println!("FAIL {path}: {error}");
                failed = true;
                continue;
            }
        };
        let checks = if document.get("results").is_some() {
            list(&document)
        } else {
            vectors(&document)
        };
        let total = checks.len();
        let bad: Vec<String> = checks.into_iter().filter_map(Result::err).collect();
        for failure in &bad {
            println!("FAIL {failure}");
        }
        failed |= !bad.is_empty() || total == 0;
        let name = Path::new(&path).file_name().unwrap_or_default().to_string_lossy();
        println!("{name} {}/{total}", total - bad.len());
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

type Check = Result<(), String>;

fn check(id: &str, what: &str, wanted: &Value, got: &Value) -> Check {
    if wanted == got {
        Ok(())
    } else {
        Err(format!("{id}: {what} is {got}, wanted {wanted}"))
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> f64 {
    value.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn part<'v>(document: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    document.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Every answer of a run of identifiers, through compilation and evaluation.
fn list(document: &Value) -> Vec<Check> {
    let key = text(&document["flag"], "key");
    let variants: Vec<&str> = part(document, "variants").filter_map(Value::as_str).collect();
    let compiled = compile(&case::project(&json!({ "flags": [document["flag"]] })));
    let prefix = text(document, "distinct_id_prefix");
    text(document, "results")
        .chars()
        .enumerate()
        .map(|(number, wanted)| {
            let distinct_id = format!("{prefix}{number}");
            let answers = case::run_compiled(&json!({ "distinct_id": distinct_id }), &compiled, usize::MAX);
            let answer = answers
                .flags
                .get(key)
                .ok_or_else(|| format!("{key}: no record"))?;
            let got = match &answer.variant {
                Some(variant) => variants
                    .iter()
                    .position(|name| name == variant)
                    .map_or(0, |at| at + 1),
                None => usize::from(answer.enabled),
            };
            check(&distinct_id, key, &json!(wanted.to_digit(10)), &json!(got))
        })
        .collect()
}

fn vectors(document: &Value) -> Vec<Check> {
    part(document, "vectors")
        .map(vector)
        .chain(part(document, "threshold_vectors").map(threshold))
        .chain(part(document, "variant_vectors").map(variant))
        .chain(part(document, "seed_parity").map(parity))
        .collect()
}

/// Digest, fraction, and what rollouts, holdouts and variants make of it.
fn vector(vector: &Value) -> Check {
    let (id, prefix, identifier, salt) = (
        text(vector, "id"),
        text(vector, "prefix"),
        text(vector, "identifier"),
        text(vector, "salt"),
    );
    let bits = hash60(prefix.as_bytes(), identifier.as_bytes(), salt.as_bytes());
    let fraction = hash(prefix.as_bytes(), identifier, salt.as_bytes());
    check(
        id,
        "digest",
        &vector["first_15_hex"],
        &json!(format!("{bits:015x}")),
    )?;
    check(id, "integer", &vector["n"], &json!(bits.to_string()))?;
    check(id, "fraction", &vector["hash01"], &json!(fraction))?;
    check(
        id,
        "fraction's bits",
        &vector["hash01_binary64_hex"],
        &json!(format!("{:016x}", fraction.to_bits())),
    )?;
    for item in part(vector, "rollout_checks") {
        let included = Rollout::from_percentage(Some(number(item, "rollout_percentage"))).includes(fraction);
        check(id, &format!("inside {item}"), &item["included"], &json!(included))?;
        // The same through a whole flag: its prefix is its key and a point.
        let key = prefix.strip_suffix('.').unwrap_or(prefix);
        let flag = json!({ "id": 1, "key": key, "active": true,
            "filters": { "groups": [{ "rollout_percentage": item["rollout_percentage"] }] } });
        check(
            id,
            &format!("flag at {item}"),
            &item["included"],
            &json!(evaluate(&flag, identifier).enabled),
        )?;
    }
    for item in part(vector, "holdout_checks") {
        let flag = json!({ "id": 1, "key": "any", "active": true, "filters": { "groups": [],
            "holdout": { "id": 5, "exclusion_percentage": item["exclusion_percentage"] } } });
        let member = evaluate(&flag, identifier).variant.as_deref() == Some("holdout-5");
        check(
            id,
            &format!("held out at {item}"),
            &item["member"],
            &json!(member),
        )?;
    }
    if let Some(item) = vector.get("variant_check") {
        let key = prefix.strip_suffix('.').unwrap_or(prefix);
        let flag = json!({ "id": 1, "key": key, "active": true,
            "filters": { "groups": [{}], "multivariate": { "variants": item["variants"] } } });
        check(
            id,
            "variant",
            &item["selected"],
            &json!(evaluate(&flag, identifier).variant),
        )?;
    }
    Ok(())
}

fn threshold(vector: &Value) -> Check {
    let rollout = Rollout::from_percentage(Some(number(vector, "rollout_percentage")));
    let id = text(vector, "id");
    check(
        id,
        "included",
        &vector["included"],
        &json!(rollout.includes(number(vector, "hash01"))),
    )?;
    let short_circuit = vector.get("short_circuit") == Some(&Value::Bool(true));
    check(
        id,
        "decided without a hash",
        &json!(short_circuit),
        &json!(rollout == Rollout::All),
    )
}

fn variant(vector: &Value) -> Check {
    let flag = json!({ "id": 1, "key": "any", "active": true,
        "filters": { "groups": [{}], "multivariate": { "variants": vector["variants"] } } });
    let compiled = compile(&case::project(&json!({ "flags": [flag] })));
    let selected = compiled.flags()[0].variant_of_hash(number(vector, "hash01"));
    check(
        text(vector, "id"),
        "selected",
        &vector["selected"],
        &json!(selected),
    )
}

/// What version 1 of the configuration and its successor have in common, or not.
fn parity(vector: &Value) -> Check {
    let id = text(vector, "id");
    let Some(identifier) = vector.get("identifier").and_then(Value::as_str) else {
        // A hash of exactly 1, which no identifier has: beyond the last boundary there is no variant.
        let flag = json!({ "id": 1, "key": text(vector, "flag_key"), "active": true, "filters": { "groups": [{}],
            "multivariate": { "variants": [{ "key": "a", "rollout_percentage": 50 }, { "key": "b", "rollout_percentage": 50 }] } } });
        let compiled = compile(&case::project(&json!({ "flags": [flag] })));
        return check(
            id,
            "variant",
            &Value::Null,
            &json!(compiled.flags()[0].variant_of_hash(number(vector, "hash01"))),
        );
    };
    let input = text(vector, "v1_input");
    check(
        id,
        "fraction",
        &vector["hash01"],
        &json!(hash(input.as_bytes(), "", b"")),
    )?;
    if identifier.is_empty() {
        // Not hashed at all: inside every rollout.
        let flag = json!({ "id": 1, "key": text(vector, "flag_key"), "active": true,
            "filters": { "groups": [{ "rollout_percentage": 0 }] } });
        check(
            id,
            "empty identifier at 0 percent",
            &json!(true),
            &json!(evaluate(&flag, identifier).enabled),
        )?;
    }
    Ok(())
}

/// The answer of one flag for a distinct id, cut as a request's is.
fn evaluate(flag: &Value, identifier: &str) -> case::Answer {
    let distinct_id: String = if identifier.len() > 200 {
        identifier.chars().take(200).collect()
    } else {
        identifier.to_owned()
    };
    let answers = case::run(
        &json!({ "flags": [flag], "distinct_id": distinct_id }),
        usize::MAX,
    );
    answers.flags.into_values().next().expect("one flag, one record")
}
