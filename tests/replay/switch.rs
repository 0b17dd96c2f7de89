//! The fault that `scripts/seeded-fault` builds is in no other build.

use std::process::Command;

#[test]
fn the_seeded_fault_is_off_unless_asked_for() {
    let manifest = include_str!("../../Cargo.toml");
    let features = manifest
        .split("[features]")
        .nth(1)
        .unwrap()
        .split("\n[")
        .next()
        .unwrap();
    assert!(features.contains("seeded-fault = []"));
    let defaults = features.lines().find(|line| line.starts_with("default"));
    assert!(
        defaults.is_none_or(|line| !line.contains("seeded")),
        "{defaults:?}"
    );
    let version = Command::new(env!("CARGO_BIN_EXE_feature-flags"))
        .arg("--version")
        .output()
        .unwrap();
    assert!(!String::from_utf8(version.stdout).unwrap().contains("fault"));
}

#[test]
fn only_its_own_script_asks_for_it() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("deploy"), root.join("scripts"), root.join(".ci")];
    let mut asking = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path)
                .is_ok_and(|text| text.contains("features") && text.contains("seeded-fault"))
            {
                asking.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    assert_eq!(asking, ["seeded-fault"]);
}
