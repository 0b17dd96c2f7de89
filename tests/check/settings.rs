//! `feature-flags config`.

use std::process::Command;

use serde_json::Value;

const SETTINGS: [(&str, &str); 4] = [
    ("REDIS_URL", "redis://:hunter2@cache:6379/"),
    ("WRITE_DATABASE_URL_FILE", "/dev/stdin"),
    ("MAX_CONCURRENCY", "7"),
    ("REDIS_URI", "redis://h/"),
];

fn config(arguments: &[&str], settings: &[(&str, &str)], input: &str) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("input");
    std::fs::write(&file, input).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_feature-flags"))
        .arg("config")
        .args(arguments)
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(std::fs::File::open(&file).expect("readable"))
        .output()
        .expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_setting_is_shown_with_who_decided_it_and_no_password() {
    let (code, said, warned) = config(&[], &SETTINGS, "postgres://flags:hunter2@db/posthog\n");
    assert_eq!(code, Some(0), "{warned}");
    assert!(!said.contains("hunter2"), "{said}");
    let words = |name: &str| -> Vec<&str> {
        let line = said.lines().find(|line| line.split(' ').next() == Some(name));
        line.expect("it is listed").split_whitespace().collect()
    };
    assert_eq!(
        words("REDIS_URL"),
        ["REDIS_URL", "redis://:***@cache:6379/", "variable"]
    );
    assert_eq!(
        words("WRITE_DATABASE_URL"),
        [
            "WRITE_DATABASE_URL",
            "postgres://flags:***@db/posthog",
            "file",
            "/dev/stdin"
        ]
    );
    assert_eq!(words("MAX_CONCURRENCY"), ["MAX_CONCURRENCY", "7", "variable"]);
    assert_eq!(words("ADDRESS"), ["ADDRESS", "127.0.0.1:3001", "default"]);
    assert_eq!(
        warned,
        "warning: REDIS_URI is not a setting: did you mean REDIS_URL?\n"
    );
}

#[test]
fn the_document_has_the_same() {
    let (code, said, _) = config(&["--json"], &SETTINGS, "postgres://flags:hunter2@db/posthog\n");
    assert_eq!(code, Some(0));
    let document: Value = serde_json::from_str(&said).expect("JSON");
    let settings = document["settings"].as_array().expect("a list");
    assert_eq!(settings.len(), feature_flags::config::variables().count());
    let find = |name: &str| {
        settings
            .iter()
            .find(|setting| setting["name"] == name)
            .expect("listed")
    };
    assert_eq!(find("WRITE_DATABASE_URL")["source"], "file");
    assert_eq!(find("WRITE_DATABASE_URL")["file"], "/dev/stdin");
    assert_eq!(
        find("WRITE_DATABASE_URL")["value"],
        "postgres://flags:***@db/posthog"
    );
    assert_eq!(find("MAX_CONCURRENCY")["value"], "7");
    assert_eq!(find("MAX_CONCURRENCY")["section"], "Concurrency and deadlines");
    assert_eq!(find("ADDRESS")["source"], "default");
    assert_eq!(document["warnings"].as_array().expect("a list").len(), 1);
    assert_eq!(document["errors"].as_array().expect("a list").len(), 0);
}

#[test]
fn what_cannot_be_used_is_named_and_ends_with_failure() {
    let settings = [
        ("MAX_CONCURRENCY", "many"),
        ("READ_DATABASE_URL", "mysql://u:hunter2@h/d"),
    ];
    let (code, said, reason) = config(&["--json"], &settings, "");
    assert_eq!(code, Some(1));
    let document: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(document["errors"].as_array().expect("a list").len(), 2);
    assert!(reason.contains("MAX_CONCURRENCY=\"many\""), "{reason}");
    assert!(!said.contains("hunter2") && !reason.contains("hunter2"));
}
