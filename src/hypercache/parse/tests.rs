//! A broken part of an entry costs only itself.

use super::*;

const METADATA: &str =
    r#"{"dependency_stages": [[1]], "flags_with_missing_deps": [], "transitive_deps": {"1": []}}"#;

#[test]
fn a_malformed_flag_costs_only_itself() {
    let text = format!(
        r#"{{"flags": [{{"id": 1, "key": "a", "filters": {{}}}}, {{"id": 2, "key": "b", "filters": "x"}}, 7],
            "evaluation_metadata": {METADATA},
            "cohorts": [{{"id": 3, "filters": null}}, {{"id": "x"}}]}}"#
    );
    let parsed = parse_flags(&text).unwrap();
    assert_eq!(parsed.flags.iter().map(|flag| flag.id).collect::<Vec<_>>(), [1]);
    let malformed = &parsed.malformed_flags;
    assert_eq!(
        (malformed.len(), malformed[0].id, malformed[0].key.as_str()),
        (1, 2, "b")
    );
    assert_eq!(parsed.dropped_flags, 1);
    assert_eq!(parsed.evaluation_metadata.unwrap().dependency_stages, [[1]]);
    assert_eq!((parsed.cohorts.unwrap().len(), parsed.dropped_cohorts), (1, 1));
}

#[test]
fn metadata_that_cannot_be_used_is_rebuilt() {
    let flags = r#"[{"id": 1, "key": "a", "filters": {}}]"#;
    for metadata in [
        "null",
        "7",
        r#"{"dependency_stages": [], "flags_with_missing_deps": [], "transitive_deps": {}}"#,
        r#"{"dependency_stages": [[1]], "flags_with_missing_deps": []}"#,
        r#"{"dependency_stages": [[1]], "flags_with_missing_deps": [], "transitive_deps": {"x": []}}"#,
    ] {
        let parsed = parse_flags(&format!(
            r#"{{"flags": {flags}, "evaluation_metadata": {metadata}}}"#
        ))
        .unwrap();
        assert!(parsed.evaluation_metadata.is_none(), "{metadata}");
        assert!(parsed.cohorts.is_none());
    }
    let empty = r#"{"dependency_stages": [], "flags_with_missing_deps": [], "transitive_deps": {}}"#;
    let parsed = parse_flags(&format!(r#"{{"flags": [], "evaluation_metadata": {empty}}}"#)).unwrap();
    assert!(parsed.evaluation_metadata.is_some());
}

#[test]
fn without_a_list_of_flags_the_entry_is_unreadable() {
    for text in ["", "null", "[]", "{}", r#"{"flags": null}"#, r#"{"flags": {}}"#] {
        assert!(parse_flags(text).is_err(), "{text}");
    }
    let deep = "[".repeat(100_000);
    assert!(parse_flags(&format!(r#"{{"flags": {deep}"#)).is_err());
}

#[test]
fn a_team_proves_its_token() {
    let team = parse_team(
        r#"{"id": 7, "api_token": "phc_a", "timezone": 3, "project_id": null}"#,
        "phc_a",
    )
    .unwrap();
    assert_eq!((team.id, team.project_id, team.timezone.as_str()), (7, 7, "UTC"));
    assert_eq!(
        parse_team(r#"{"id": 7, "api_token": "phc_a"}"#, "phc_b").unwrap_err(),
        ParseError::OtherToken
    );
    assert!(parse_team(r#"{"api_token": "phc_a"}"#, "phc_a").is_err());
    assert!(parse_config("{}").is_ok() && parse_config("[]").is_err());
}
