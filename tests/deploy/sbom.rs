//! The bill of materials has every crate that is linked.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use fancy_regex::Regex;
use serde_json::Value;

use crate::script::ROOT;

fn bill() -> Vec<u8> {
    let output = Command::new(format!("{ROOT}/scripts/sbom"))
        .output()
        .expect("the script starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// `name-version` of the crates whose source paths the binary holds, for panics and in its line tables.
fn crates_in_binary() -> BTreeSet<String> {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_feature-flags")).expect("the binary");
    let path = Regex::new(r"registry/src/[^/\s]+/([A-Za-z0-9_-]+-[0-9][0-9A-Za-z.+-]*)/").expect("a pattern");
    let mut found = BTreeSet::new();
    for at in memchr::memmem::find_iter(&binary, b"registry/src/") {
        let text = String::from_utf8_lossy(&binary[at..(at + 200).min(binary.len())]).into_owned();
        if let Ok(Some(captures)) = path.captures(text.as_str())
            && captures.get(0).is_some_and(|whole| whole.start() == 0)
        {
            found.insert(captures[1].to_owned());
        }
    }
    found
}

#[test]
fn every_linked_crate_is_listed_with_its_checksum() {
    let text = bill();
    assert_eq!(text, bill(), "the same sources give the same bytes");
    let document: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(document["bomFormat"], "CycloneDX");
    assert_eq!(document["metadata"]["component"]["name"], "feature-flags");
    let lock = include_str!("../../Cargo.lock");
    let checksums: BTreeMap<(String, String), String> = lock
        .split("[[package]]")
        .filter_map(|entry| {
            let field = |name: &str| {
                let line = entry
                    .lines()
                    .find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
                Some(line.trim_end_matches('"').to_owned())
            };
            Some(((field("name")?, field("version")?), field("checksum")?))
        })
        .collect();
    let mut listed = BTreeSet::new();
    for component in document["components"].as_array().expect("a list") {
        let field = |name: &str| component[name].as_str().expect("text").to_owned();
        let (name, version) = (field("name"), field("version"));
        assert_eq!(
            component["purl"],
            format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
        );
        assert_eq!(
            component["hashes"][0]["content"].as_str(),
            checksums
                .get(&(name.clone(), version.clone()))
                .map(String::as_str),
            "{name} {version}"
        );
        assert!(component["licenses"][0]["expression"].is_string(), "{name}");
        listed.insert(format!("{name}-{version}"));
    }
    let linked = crates_in_binary();
    assert!(linked.len() > 100, "the binary names {} crates", linked.len());
    let missing: Vec<_> = linked.difference(&listed).collect();
    assert!(missing.is_empty(), "linked and not listed: {missing:?}");
    for tool in ["criterion", "proptest", "s3s", "serde_derive", "cc"] {
        assert!(
            !listed.iter().any(|each| each.starts_with(&format!("{tool}-"))),
            "{tool} is not linked"
        );
    }
    let references: BTreeSet<&str> = document["dependencies"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["ref"].as_str().expect("text"))
        .collect();
    assert_eq!(
        references.len(),
        listed.len() + 1,
        "each crate and the program say what they need"
    );
}
