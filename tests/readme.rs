//! The settings table of the README says what the program reads.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use feature_flags::config::variables;

#[test]
fn settings_of_the_table_exist_with_these_defaults() {
    let known: BTreeMap<&str, &str> = variables()
        .map(|variable| (variable.name, variable.default))
        .collect();
    let readme = include_str!("../README.md");
    let section = readme.split("## Settings").nth(1).expect("there is a section");
    let table = section.split("\n## ").next().expect("it has an end");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            line.split('|')
                .map(|cell| cell.trim().trim_matches('`'))
                .collect()
        })
        .collect();
    assert!(rows.len() >= 15, "{} rows", rows.len());
    let listed: BTreeSet<&str> = rows.iter().map(|row| row[1]).collect();
    let missing: Vec<_> = known.keys().filter(|name| !listed.contains(**name)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    for row in rows {
        assert_eq!(known.get(row[1]), Some(&row[2]), "{}", row[1]);
        assert!(!row[3].is_empty());
    }
}

/// Commands as `--help` lists them.
fn commands() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_feature-flags"))
        .arg("--help")
        .output()
        .expect("the program starts");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let section = help.split("Commands:\n").nth(1).expect("there is a section");
    let lines = section.lines().take_while(|line| !line.is_empty());
    lines
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn commands_of_the_text_exist_and_all_are_told() {
    let texts = [include_str!("../README.md"), include_str!("../deploy/README.md")].concat();
    let known = commands();
    assert!(
        known.contains("serve") && known.contains("healthcheck"),
        "{known:?}"
    );
    let code = texts.split('`').skip(1).step_by(2).flat_map(str::lines);
    let mut told = BTreeSet::new();
    for line in code {
        if let Some((_, rest)) = line.split_once("feature-flags ") {
            let command = rest.split(' ').next().unwrap_or_default();
            if command.bytes().all(|byte| byte.is_ascii_lowercase()) && !command.is_empty() {
                told.insert(command.to_owned());
            }
        }
    }
    for command in &known {
        let also = texts.contains(&format!("`{command}`")) || texts.contains(&format!("-- {command}\n"));
        assert!(
            told.contains(command) || also,
            "the README does not tell of {command}"
        );
    }
    let unknown: Vec<_> = told.difference(&known).collect();
    assert!(unknown.is_empty(), "no such commands: {unknown:?}");
}

#[test]
fn every_file_form_of_the_text_exists() {
    let texts = [include_str!("../README.md"), include_str!("../deploy/README.md")].concat();
    let forms: BTreeSet<&str> = variables().filter_map(|variable| variable.file).collect();
    let words = texts.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
    let named: BTreeSet<&str> = words
        .filter(|word| word.len() > 6 && word.ends_with("_URL_FILE"))
        .collect();
    assert!(!named.is_empty());
    for word in named {
        assert!(forms.contains(word) || word.starts_with('_'), "{word}");
    }
}
