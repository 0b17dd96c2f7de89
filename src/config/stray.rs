//! Variables that look as if they were meant for this program and do nothing: misspelt, retired, or in a form that is not read.
//!
//! An environment holds names of many programs, so a name counts as meant for us only when it has a prefix that nobody else uses, or
//! is almost a name of ours.

use super::retired::{NOT_USED, WITHOUT_EFFECT};
use super::{Source, variables};

/// Prefixes of this service's names alone.
const OUR_PREFIXES: &[&str] = &[
    "FLAGS_",
    "FLAG_DEFINITIONS_",
    "SNAPSHOT_",
    "COOKIELESS_",
    "HYPERCACHE_",
];

/// Ends of names that give a unit, and are easily forgotten or mistaken.
const UNITS: &[&str] = &["_MS", "_SECS", "_SECONDS", "_BYTES"];

/// Shorter names are almost the name of too many other things.
const LETTERS_MIN: usize = 6;

/// Says of each such variable what is wrong and which name is right; in the order of names.
#[must_use]
pub fn stray_variables(source: &dyn Source) -> Vec<String> {
    let mut names = source.names();
    names.sort_unstable();
    let judged = names.iter().filter_map(|name| judge(name, source));
    judged.collect()
}

fn judge(name: &str, source: &dyn Source) -> Option<String> {
    let row = |table: &[(&str, &'static str)]| {
        let found = table.iter().find(|(listed, _)| *listed == name);
        found.map(|(_, advice)| *advice)
    };
    if let Some(advice) = row(WITHOUT_EFFECT) {
        return Some(format!("{name} has no effect: {advice}"));
    }
    if known().any(|known| known == name) {
        return None;
    }
    if let Some(advice) = row(NOT_USED) {
        return Some(format!("{name} is not used: {advice}"));
    }
    if is_service_link(name, source) {
        return None;
    }
    if let Some(setting) = name.strip_suffix("_FILE")
        && variables().any(|variable| variable.name == setting)
    {
        return Some(format!(
            "{name} is not read: only credentials can be in a file, set {setting} itself"
        ));
    }
    if let Some(meant) = known().find(|known| stem(known) == stem(name)) {
        return Some(did_you_mean(name, meant));
    }
    let letters = name.chars().count();
    let ours = OUR_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let distance_max = if ours {
        (letters / 4).max(2)
    } else if letters >= LETTERS_MIN {
        (letters / 6).clamp(1, 2)
    } else {
        return None;
    };
    let closest = known()
        .map(|known| (distance(name, known), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= distance_max);
    match closest {
        Some((_, meant)) => Some(did_you_mean(name, meant)),
        None => ours.then(|| format!("{name} is not a setting; 'feature-flags config' lists all")),
    }
}

fn did_you_mean(name: &str, meant: &str) -> String {
    format!("{name} is not a setting: did you mean {meant}?")
}

/// A name without its unit.
fn stem(name: &str) -> &str {
    UNITS
        .iter()
        .find_map(|unit| name.strip_suffix(unit))
        .unwrap_or(name)
}

/// Every name that is read.
fn known() -> impl Iterator<Item = &'static str> {
    variables().flat_map(|variable| std::iter::once(variable.name).chain(variable.file))
}

/// Kubernetes sets such names for each service of the namespace (`FLAGS_REDIS_PORT=tcp://...`), where links are on.
fn is_service_link(name: &str, source: &dyn Source) -> bool {
    let port = |name: &str| {
        let (_, after) = name.rsplit_once("_PORT_")?;
        let number = after.split('_').next()?;
        Some(!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || port(name) == Some(true)
        || (name.ends_with("_PORT") && source.get(name).is_some_and(|value| value.contains("://")))
}

/// How many letters must be added, left out, replaced or swapped with their neighbour (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for (at, letter) in one.iter().enumerate() {
        let mut row = vec![at + 1];
        for (position, against) in other.iter().enumerate() {
            let replaced = rows[at][position] + usize::from(letter != against);
            let mut least = replaced.min(rows[at][position + 1] + 1).min(row[position] + 1);
            let swapped = at > 0 && position > 0 && *letter == other[position - 1] && one[at - 1] == *against;
            if swapped {
                least = least.min(rows[at - 1][position - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::retired::{NOT_USED, WITHOUT_EFFECT};
    use super::{distance, known, stray_variables};

    fn said(pairs: &[(&'static str, &'static str)]) -> Vec<String> {
        stray_variables(&pairs.iter().copied().collect::<HashMap<_, _>>())
    }

    #[test]
    fn a_misspelt_name_is_told_the_right_one() {
        for (wrong, right) in [
            ("FLAGS_REDIS_ULR", "FLAGS_REDIS_URL"),
            ("REDIS_URI", "REDIS_URL"),
            ("ADRESS", "ADDRESS"),
            ("MAX_CONCURENCY", "MAX_CONCURRENCY"),
            ("WRITE_DATABASE_URL_FILES", "WRITE_DATABASE_URL_FILE"),
            ("SNAPSHOT_SOFT_TTL", "SNAPSHOT_SOFT_TTL_MS"),
            ("SHUTDOWN_DELAY", "SHUTDOWN_DELAY_MS"),
            ("REQUEST_TIMEOUT_SECONDS", "REQUEST_TIMEOUT_MS"),
        ] {
            let expected = format!("{wrong} is not a setting: did you mean {right}?");
            assert_eq!(said(&[(wrong, "x")]), [expected]);
        }
    }

    #[test]
    fn names_of_other_programs_are_not_ours() {
        let pairs = [
            ("PATH", "/bin"),
            ("HOSTNAME", "h"),
            ("REDIS_HOST", "h"),
            ("REDIS_PORT", "tcp://10.0.0.1:6379"),
            ("DATABASE_URL", "postgres://h/d"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("FLAGS_REDIS_SERVICE_HOST", "10.0.0.1"),
            ("FLAGS_REDIS_PORT", "tcp://10.0.0.1:6379"),
            ("FLAGS_REDIS_PORT_6379_TCP_ADDR", "10.0.0.1"),
            ("DEBUG", "true"),
            ("REDIS_URL_FILE", "/run/secrets/redis"),
        ];
        assert_eq!(said(&pairs), Vec::<String>::new());
    }

    #[test]
    fn what_has_no_effect_is_said_with_what_to_do() {
        let warnings = said(&[
            ("FLAG_DEFINITIONS_CACHE_TTL_SECONDS", "90"),
            ("REDIS_CLIENT_RETRY_COUNT", "3"),
            ("ADDRESS_FILE", "/a"),
            ("FLAGS_SOMETHING_QUITE_DIFFERENT", "1"),
        ]);
        assert_eq!(warnings.len(), 4);
        assert!(
            warnings[0].starts_with("ADDRESS_FILE is not read"),
            "{warnings:?}"
        );
        assert!(warnings[1].starts_with("FLAGS_SOMETHING_QUITE_DIFFERENT is not a setting; "));
        assert!(warnings[2].contains("SNAPSHOT_SOFT_TTL_MS"));
        assert!(warnings[3].starts_with("REDIS_CLIENT_RETRY_COUNT has no effect"));
    }

    #[test]
    fn the_lists_agree_with_the_settings() {
        let stale: Vec<_> = NOT_USED
            .iter()
            .filter(|row| known().any(|name| name == row.0))
            .collect();
        assert!(stale.is_empty(), "these are settings now: {stale:?}");
        assert!(WITHOUT_EFFECT.iter().all(|row| known().any(|name| name == row.0)));
    }

    #[test]
    fn distances_count_single_mistakes() {
        for (one, other, expected) in [
            ("a", "a", 0),
            ("ab", "ba", 1),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }
}
