//! The settings table of the README says what the program reads.

use std::collections::BTreeMap;

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
    for row in rows {
        assert_eq!(known.get(row[1]), Some(&row[2]), "{}", row[1]);
        assert!(!row[3].is_empty());
    }
}
