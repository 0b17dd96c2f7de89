//! The command itself: exit codes and what it prints.

use std::process::{Command, Output};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_feature-flags"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn the_version_is_the_package_s() {
    let output = run(&["--version"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        output.stdout,
        format!("feature-flags {}\n", env!("CARGO_PKG_VERSION")).into_bytes()
    );
}

#[test]
fn serve_says_what_it_lacks() {
    let output = run(&["serve"], &[]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("not built into this version") && text.contains("WRITE_DATABASE_URL"),
        "{text}"
    );
}

#[test]
fn wrong_usage_is_2_and_wrong_settings_are_1() {
    assert_eq!(run(&["dev", "--bogus"], &[]).status.code(), Some(2));
    let output = run(&["dev"], &[("ADDRESS", "nowhere"), ("MAX_CONCURRENCY", "many")]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("ADDRESS") && text.contains("MAX_CONCURRENCY"),
        "{text}"
    );
}
