//! Who may know whom, read from the source text.
//!
//! `definition` knows nothing of ours, `engine` only definitions; neither knows a runtime, HTTP or a database.
//! hyper stops at `server` and `http`; database clients live in `store`; the reference interpreter shares
//! nothing with what it checks.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder, what it may name of the crate's own modules, and what it must not name of others.
struct Rule {
    folder: &'static str,
    own: &'static [&'static str],
    banned: &'static [&'static str],
}

const RUNTIME: &str = "tokio";
const HTTP: &str = "hyper";
/// Clients of stores, which live in `store` alone.
const NO_DATABASE: &[&str] = &[
    "rusqlite",
    "redis",
    "tokio_postgres",
    "bb8",
    "aws_sdk_s3",
    "maxminddb",
];
/// May wait, but asks stores through ports.
const PORTS_ONLY: &[&str] = &[
    HTTP,
    "rusqlite",
    "redis",
    "tokio_postgres",
    "bb8",
    "aws_sdk_s3",
    "maxminddb",
];
/// Computes and never waits.
const PURE: &[&str] = &[
    HTTP,
    RUNTIME,
    "rusqlite",
    "redis",
    "tokio_postgres",
    "bb8",
    "aws_sdk_s3",
    "maxminddb",
];

const RULES: &[Rule] = &[
    Rule {
        folder: "definition",
        own: &[],
        banned: PURE,
    },
    Rule {
        folder: "engine",
        own: &["definition"],
        banned: PURE,
    },
    Rule {
        folder: "wire",
        own: &["engine"],
        banned: PURE,
    },
    Rule {
        folder: "resilience",
        own: &[],
        banned: PURE,
    },
    Rule {
        folder: "hypercache",
        own: &["config", "definition"],
        banned: PORTS_ONLY,
    },
    Rule {
        folder: "span",
        own: &[],
        banned: PORTS_ONLY,
    },
    Rule {
        folder: "collector",
        own: &["telemetry"],
        banned: NO_DATABASE,
    },
    Rule {
        folder: "snapshot",
        own: &["definition", "engine", "hypercache", "span", "wire"],
        banned: PORTS_ONLY,
    },
    Rule {
        folder: "context",
        own: &["resilience", "snapshot"],
        banned: PORTS_ONLY,
    },
    Rule {
        folder: "auth",
        own: &["hypercache", "resilience", "span"],
        banned: PORTS_ONLY,
    },
    Rule {
        folder: "quota",
        own: &["definition", "hypercache", "resilience"],
        banned: PORTS_ONLY,
    },
    Rule {
        folder: "config",
        own: &[],
        banned: PURE,
    },
    Rule {
        folder: "limit",
        own: &["config"],
        banned: PORTS_ONLY,
    },
    Rule {
        folder: "telemetry",
        own: &["config", "engine", "evaluation", "snapshot", "span", "wire"],
        banned: PORTS_ONLY,
    },
    Rule {
        folder: "store",
        own: &[
            "auth",
            "definition",
            "hypercache",
            "quota",
            "resilience",
            "snapshot",
            "context",
            "span",
        ],
        banned: &[HTTP],
    },
    Rule {
        folder: "http",
        own: &[
            "auth",
            "config",
            "context",
            "engine",
            "evaluation",
            "limit",
            "processors",
            "quota",
            "recorder",
            "resilience",
            "snapshot",
            "span",
            "telemetry",
            "wire",
        ],
        banned: NO_DATABASE,
    },
    Rule {
        folder: "server",
        own: &["telemetry", "config", "http", "processors"],
        banned: NO_DATABASE,
    },
    Rule {
        folder: "processors.rs",
        own: &["config"],
        banned: PURE,
    },
    Rule {
        folder: "canary",
        own: &[],
        banned: PURE,
    },
    Rule {
        folder: "recording",
        own: &[],
        banned: PURE,
    },
    Rule {
        folder: "recorder",
        own: &["config", "engine", "recording", "snapshot", "telemetry", "wire"],
        banned: PURE,
    },
    Rule {
        folder: "replay",
        own: &["recording"],
        banned: PURE,
    },
    Rule {
        folder: "evaluation",
        own: &["context", "engine", "resilience", "span", "wire"],
        banned: PORTS_ONLY,
    },
];

/// What a text breaks of a rule. Comments do not count.
fn violations(rule: &Rule, text: &str) -> Vec<String> {
    let own_name = rule.folder.trim_end_matches(".rs");
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, _) in code.match_indices("crate::") {
            let name: String = code[at + 7..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if name != own_name && !name.is_empty() && !rule.own.contains(&name.as_str()) {
                found.push(format!("{}: names crate::{name}", number + 1));
            }
        }
        for banned in rule.banned {
            let names = |code: &str| {
                code.match_indices(banned).any(|(at, _)| {
                    let before = code[..at].chars().next_back();
                    let after = &code[at + banned.len()..];
                    !before.is_some_and(|c| c.is_alphanumeric() || c == '_') && after.starts_with("::")
                })
            };
            if names(code) {
                found.push(format!("{}: names {banned}", number + 1));
            }
        }
    }
    found
}

fn sources(path: &Path, into: &mut Vec<PathBuf>) {
    if path.is_file() {
        into.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "rs") {
            sources(&path, into);
        }
    }
}

fn files(path: &str) -> Vec<PathBuf> {
    let mut into = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path), &mut into);
    assert!(!into.is_empty(), "no source below {path}");
    into
}

#[test]
fn modules_know_only_whom_they_may() {
    let mut found = Vec::new();
    for rule in RULES {
        for file in files(&format!("src/{}", rule.folder)) {
            let text = fs::read_to_string(&file).expect("source is text");
            found.extend(
                violations(rule, &text)
                    .into_iter()
                    .map(|violation| format!("{}:{violation}", file.display())),
            );
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_reference_interpreter_shares_nothing_with_the_engine() {
    for file in files("tests/reference") {
        let text = fs::read_to_string(&file).expect("source is text");
        let shared = text.lines().find(|line| {
            let code = line.split("//").next().unwrap_or_default();
            code.contains("feature_flags::") || code.contains("crate::engine")
        });
        assert_eq!(shared, None, "{}", file.display());
    }
}

#[test]
fn every_folder_has_a_rule() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("src is there") {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("names are text");
        let wiring = [
            "cli",
            "command",
            "main.rs",
            "lib.rs",
            "cli.rs",
            "sample_project.json",
        ];
        assert!(
            wiring.contains(&name.as_str()) || RULES.iter().any(|rule| rule.folder == name),
            "no rule for {name}"
        );
    }
}

#[test]
fn violations_are_found() {
    let engine = RULES
        .iter()
        .find(|rule| rule.folder == "engine")
        .expect("it has a rule");
    assert!(
        violations(
            engine,
            "use crate::definition::RawFlag;\n// hyper::Request is not known here"
        )
        .is_empty()
    );
    assert_eq!(violations(engine, "use crate::wire::decode;").len(), 1);
    assert_eq!(violations(engine, "let x = hyper::Request::new(());").len(), 1);
    for database in NO_DATABASE {
        assert_eq!(
            violations(engine, &format!("use {database}::Connection;")).len(),
            1
        );
    }
}
