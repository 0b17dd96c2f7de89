//! What an import refuses, with the path of every problem.

use serde_json::{Value, json};

use crate::support::{New, on_every_store, problems, project, store};

on_every_store!(clashes_with_other_teams_of_the_store_are_refused);

/// Paths of the problems of a document that is refused by an empty store.
fn paths(document: &Value) -> Vec<String> {
    problems(&document.to_string())
        .into_iter()
        .map(|(path, _)| path)
        .collect()
}

/// Merges `members` into the only flag's filters.
fn with_filters(filters: Value) -> Value {
    json!({ "team": { "api_token": "phc_a" }, "flags": [{ "key": "a", "filters": filters }] })
}

fn with_filter(filter: Value) -> Value {
    with_filters(json!({ "groups": [{}, { "properties": [filter] }] }))
}

#[test]
fn input_that_is_no_document() {
    for (input, expected) in [
        ("", "a project document"),
        ("  \n", "a project document"),
        ("{", "valid JSON"),
        ("7", "an object"),
        ("[", "valid JSON"),
        ("{} trailing", "valid JSON"),
        ("{\"team\": {}}}", "valid JSON"),
    ] {
        let found = problems(input);
        assert_eq!(found.len(), 1, "{input}: {found:?}");
        assert_eq!(found[0].0, "$", "{input}");
        assert!(found[0].1.contains(expected), "{input}: {found:?}");
    }
    assert_eq!(paths(&json!([7, project("phc_a"), null])), ["$[0]", "$[2]"]);
    let bytes = store()
        .import(b"{\"team\": \"\xff\"}")
        .expect_err("not UTF-8")
        .to_string();
    assert_eq!(
        bytes,
        "$: a byte that is not UTF-8 at offset 10: expected UTF-8 text"
    );
}

#[test]
fn a_broken_line_is_named_and_the_others_are_checked() {
    let lines = format!("{}\n{{\"team\": \n{{\"flags\": []}}", project("phc_a"));
    let found = problems(&lines);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["$[1]", "$[2].team"]);
}

#[test]
fn the_team_must_be_usable() {
    assert_eq!(paths(&json!({})), ["$.team"]);
    assert_eq!(paths(&json!({ "team": null })), ["$.team"]);
    assert_eq!(paths(&json!({ "team": [] })), ["$.team"]);
    assert_eq!(paths(&json!({ "team": {} })), ["$.team.api_token"]);
    assert_eq!(
        paths(&json!({ "team": { "api_token": "" } })),
        ["$.team.api_token"]
    );
    assert_eq!(
        paths(&json!({ "team": { "api_token": "x".repeat(201) } })),
        ["$.team.api_token"]
    );
    let team = json!({
        "api_token": "phc_a", "id": 0, "project_id": "1", "uuid": "x", "organization_id": 1, "name": 1,
        "secret_api_token": "", "secret_api_token_backup": 5, "timezone": [], "cookieless_server_hash_mode": 3,
        "minimal_flag_called_events": 1, "property_matching_version": 0, "heatmaps_opt_in": "yes",
        "session_recording_sample_rate": "half", "session_recording_minimum_duration_milliseconds": 1.5,
        "session_recording_trigger_match_type_config": {}
    });
    let found = paths(&json!({ "team": team }));
    let expected: Vec<String> = [
        "id",
        "project_id",
        "uuid",
        "organization_id",
        "name",
        "secret_api_token",
        "secret_api_token_backup",
        "timezone",
        "cookieless_server_hash_mode",
        "minimal_flag_called_events",
        "property_matching_version",
        "heatmaps_opt_in",
        "session_recording_sample_rate",
        "session_recording_minimum_duration_milliseconds",
        "session_recording_trigger_match_type_config",
    ]
    .iter()
    .map(|key| format!("$.team.{key}"))
    .collect();
    assert_eq!(found, expected);
}

#[test]
fn flag_columns_are_checked() {
    let flags = json!([
        7,
        {},
        { "key": 7, "filters": [] },
        { "key": "a", "filters": {}, "id": 2_147_483_648_u32, "active": "yes", "deleted": 1, "version": 1.5,
          "ensure_experience_continuity": "no", "evaluation_runtime": 1, "bucketing_identifier": 1,
          "evaluation_contexts": ["web", 1], "has_experiment": 0, "archived": 0 },
        { "key": "b", "filters": {}, "archived": true, "active": true },
        { "key": "c", "filters": {}, "evaluation_contexts": [], "evaluation_tags": [] },
        { "key": "x".repeat(401), "filters": {} },
        { "key": "d", "filters": {}, "id": 5 },
        { "key": "d", "filters": {}, "id": 5 }
    ]);
    let found = paths(&json!({ "team": { "api_token": "phc_a" }, "flags": flags }));
    let expected = [
        "[0]",
        "[1].key",
        "[1].filters",
        "[2].key",
        "[2].filters",
        "[3].evaluation_contexts[1]",
        "[3].id",
        "[3].active",
        "[3].deleted",
        "[3].archived",
        "[3].version",
        "[3].ensure_experience_continuity",
        "[3].evaluation_runtime",
        "[3].bucketing_identifier",
        "[3].has_experiment",
        "[4].archived",
        "[5].evaluation_tags",
        "[6].key",
        "[8].key",
        "[8].id",
    ];
    let expected: Vec<String> = expected.iter().map(|below| format!("$.flags{below}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_part_of_filters_that_a_parser_rejects_is_named() {
    for (filters, below) in [
        (json!({ "groups": {} }), "groups"),
        (json!({ "groups": [1] }), "groups[0]"),
        (
            json!({ "groups": [{ "properties": {} }] }),
            "groups[0].properties",
        ),
        (
            json!({ "groups": [{ "rollout_percentage": "50" }] }),
            "groups[0].rollout_percentage",
        ),
        (json!({ "groups": [{ "variant": 1 }] }), "groups[0].variant"),
        (
            json!({ "groups": [{ "aggregation_group_type_index": 0.5 }] }),
            "groups[0].aggregation_group_type_index",
        ),
        (
            json!({ "super_groups": [{ "rollout_percentage": {} }] }),
            "super_groups[0].rollout_percentage",
        ),
        (json!({ "holdout_groups": 1 }), "holdout_groups"),
        (
            json!({ "aggregation_group_type_index": "0" }),
            "aggregation_group_type_index",
        ),
        (
            json!({ "aggregation_group_type_index": 4_294_967_296_u64 }),
            "aggregation_group_type_index",
        ),
        (json!({ "multivariate": [] }), "multivariate"),
        (
            json!({ "multivariate": { "variants": {} } }),
            "multivariate.variants",
        ),
        (
            json!({ "multivariate": { "variants": [1] } }),
            "multivariate.variants[0]",
        ),
        (
            json!({ "multivariate": { "variants": [{ "rollout_percentage": 1 }] } }),
            "multivariate.variants[0].key",
        ),
        (
            json!({ "multivariate": { "variants": [{ "key": "a", "rollout_percentage": null }] } }),
            "multivariate.variants[0].rollout_percentage",
        ),
        (json!({ "feature_enrollment": 1 }), "feature_enrollment"),
        (json!({ "early_exit": "yes" }), "early_exit"),
        (json!({ "holdout": [] }), "holdout"),
        (
            json!({ "holdout": { "id": "1", "exclusion_percentage": 1 } }),
            "holdout.id",
        ),
        (json!({ "holdout": { "id": 1 } }), "holdout.exclusion_percentage"),
    ] {
        let document = with_filters(filters);
        assert_eq!(
            paths(&document),
            [format!("$.flags[0].filters.{below}")],
            "{document}"
        );
    }
}

#[test]
fn every_part_of_a_property_filter_that_a_parser_rejects_is_named() {
    for (filter, below) in [
        (json!(1), ""),
        (json!({ "type": "person" }), ".key"),
        (json!({ "key": 1, "type": "person" }), ".key"),
        (json!({ "key": "a" }), ".type"),
        (json!({ "key": "a", "type": null }), ".type"),
        (json!({ "key": "a", "type": "event" }), ".type"),
        (json!({ "key": "a", "type": "Person" }), ".type"),
        (
            json!({ "key": "a", "type": "person", "operator": "equals" }),
            ".operator",
        ),
        (
            json!({ "key": "a", "type": "person", "operator": 1 }),
            ".operator",
        ),
        (
            json!({ "key": "a", "type": "person", "negation": "no" }),
            ".negation",
        ),
        (
            json!({ "key": "a", "type": "group", "group_type_index": "0" }),
            ".group_type_index",
        ),
    ] {
        let document = with_filter(filter);
        let path = format!("$.flags[0].filters.groups[1].properties[0]{below}");
        assert_eq!(paths(&document), [path], "{document}");
    }
}

#[test]
fn what_only_the_final_parser_rejects_is_still_refused() {
    // A known key that stands twice is an error of the parser that will read the flag.
    let document =
        r#"{"team": {"api_token": "a"}, "flags": [{"key": "a", "filters": {"groups": [], "groups": []}}]}"#;
    let found = problems(document);
    assert_eq!(found[0].0, "$.flags[0].filters");
    assert!(found[0].1.contains("duplicate"), "{found:?}");
}

#[test]
fn json_that_could_not_be_read_back_is_refused() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for value in ["1e999", r#""\ud800""#, deep.as_str()] {
        let document = format!(
            r#"{{"team": {{"api_token": "a"}}, "persons": [{{"distinct_ids": ["a"], "properties": {{"x": {value}}}}}]}}"#
        );
        assert_eq!(problems(&document)[0].0, "$.persons[0].properties");
        let document = format!(
            r#"{{"team": {{"api_token": "a"}}, "flags": [{{"key": "a", "filters": {{"x": {value}}}}}]}}"#
        );
        assert_eq!(problems(&document)[0].0, "$.flags[0].filters");
    }
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let found =
        problems(r#"{"team": {"api_token": "a", "id": 1, "api_token": "b"}, "flags": [], "flags": []}"#);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["$.flags", "$.team.api_token"]);
}

#[test]
fn people_groups_keys_and_the_rest_are_checked() {
    let document = json!({
        "team": { "api_token": "phc_a" },
        "flags": {},
        "cohorts": [
            { "id": "1" },
            { "id": 4, "is_static": 1 },
            { "id": 5, "members": ["a"] },
            { "id": 6, "is_static": true, "members": [1] },
            { "id": 4 },
            {}
        ],
        "group_type_mapping": { "6": "a", "x": "b", "0": 1, "1": "same", "2": "same", "03": "c" },
        "groups": [{}, { "group_type_index": 0, "group_key": "k", "properties": [] }, { "group_type_index": 9, "group_key": 1 },
                   { "group_type_index": 0, "group_key": "k" }],
        "persons": [
            {}, { "distinct_ids": [] }, { "distinct_ids": [1] }, { "distinct_ids": ["a", "b"], "properties": 1 },
            { "distinct_ids": ["b"], "uuid": "x", "is_identified": 1, "created_at": "yesterday",
              "hash_key_overrides": { "f": 1 } }
        ],
        "personal_api_key": { "value": 1, "scopes": "all" },
        "personal_api_keys": [{ "value": "phx_a", "label": "l".repeat(41), "user_id": 1, "scopes": ["*"],
                                "scoped_teams": ["1"] }],
        "config": [],
        "quota_limited": "all"
    });
    let expected = [
        ".cohorts[0].id",
        ".cohorts[1].is_static",
        ".cohorts[2].members",
        ".cohorts[3].members[0]",
        ".flags",
        ".group_type_mapping[\"6\"]",
        ".group_type_mapping.x",
        ".group_type_mapping[\"0\"]",
        ".group_type_mapping[\"2\"]",
        ".group_type_mapping[\"03\"]",
        ".groups[0].group_type_index",
        ".groups[0].group_key",
        ".groups[1].properties",
        ".groups[2].group_type_index",
        ".groups[2].group_key",
        ".persons[0].distinct_ids",
        ".persons[1].distinct_ids",
        ".persons[2].distinct_ids[0]",
        ".persons[3].properties",
        ".persons[4].uuid",
        ".persons[4].is_identified",
        ".persons[4].created_at",
        ".persons[4].hash_key_overrides.f",
        ".personal_api_key.value",
        ".personal_api_key.user_id",
        ".personal_api_key.scopes",
        ".personal_api_keys[0].label",
        ".personal_api_keys[0].scoped_teams[0]",
        ".config",
        ".quota_limited",
        ".cohorts[4].id",
        ".cohorts[5]",
        ".groups[3]",
        ".persons[4].distinct_ids[0]",
    ];
    let mut expected: Vec<String> = expected.iter().map(|below| format!("${below}")).collect();
    let mut found = paths(&document);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

fn clashes_with_other_teams_of_the_store_are_refused(new: New) {
    let store = new();
    store.import(&json!({
        "team": { "id": 1, "api_token": "phc_a", "secret_api_token": "phs_a",
                  "uuid": "00000000-0000-4000-8000-000000000001" },
        "flags": [{ "id": 10, "key": "x", "filters": {} }],
        "cohorts": [{ "id": 20, "name": "x" }]
    }));
    let clash = json!({
        "team": { "id": 1, "api_token": "phc_b", "secret_api_token_backup": "phs_a" },
        "flags": [{ "id": 10, "key": "y", "filters": {} }],
        "cohorts": [{ "id": 20, "name": "y" }]
    });
    let found = store.problems(&clash.to_string());
    assert_eq!(found[0].0, "$.team.id");
    assert!(found[0].1.contains("phc_a"), "{found:?}");
    let mut clash = clash;
    clash["team"]["id"] = json!(2);
    let paths: Vec<String> = store
        .problems(&clash.to_string())
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(
        paths,
        [
            "$.team.secret_api_token_backup",
            "$.flags[0].id",
            "$.cohorts[0].id"
        ]
    );
    let moved = json!({ "team": { "id": 3, "api_token": "phc_a" } });
    let found = store.problems(&moved.to_string());
    assert_eq!(
        found,
        [(
            "$.team.id".to_owned(),
            "1, the id under which the store has this team".to_owned()
        )]
    );
    store.import(&json!({ "team": { "api_token": "phc_c" } }));
    let torn = json!({ "team": { "api_token": "phc_c", "uuid": "00000000-0000-4000-8000-000000000001" } });
    assert_eq!(store.problems(&torn.to_string())[0].0, "$.team.uuid");
}

#[test]
fn clashes_within_one_input_are_refused() {
    let document = |id: i32, token: &str| {
        json!({
            "team": { "id": id, "api_token": token, "project_id": 1, "secret_api_token": "phs_same" },
            "flags": [{ "id": 5, "key": "x", "filters": {} }],
            "cohorts": [{ "id": 6 }],
            "group_type_mapping": { "0": token },
            "personal_api_key": { "value": "phx", "label": token, "scopes": [], "user_id": 1 }
        })
    };
    let mut found = paths(&json!([document(1, "phc_a"), document(1, "phc_b")]));
    found.sort();
    let expected = [
        "$[1].cohorts[0].id",
        "$[1].flags[0].id",
        "$[1].group_type_mapping",
        "$[1].personal_api_key",
        "$[1].team.id",
        "$[1].team.secret_api_token",
    ];
    assert_eq!(found, expected);
    assert_eq!(
        paths(&json!([project("phc_a"), project("phc_a")])),
        ["$[1].team.api_token"]
    );
}

#[test]
fn one_bad_document_stops_all() {
    let found = paths(&json!([project("phc_a"), { "team": { "api_token": 1 } }, project("phc_c")]));
    assert_eq!(found, ["$[1].team.api_token"]);
}

#[test]
fn hostile_nesting_and_junk_never_panic() {
    let store = store();
    for open in ["[", "{\"a\":", "{\"team\":", "[[{\"flags\":["] {
        let refused = store.import(open.repeat(100_000).as_bytes());
        assert!(refused.is_err());
    }
    let balanced = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(store.import(balanced.as_bytes()).is_err());
    let inside =
        format!(r#"{{"team": {{"api_token": "a"}}, "flags": [{{"key": "a", "filters": {balanced}}}]}}"#);
    assert!(store.import(inside.as_bytes()).is_err());
    let ignored = format!(r#"{{"team": {{"api_token": "a"}}, "requests": {balanced}}}"#);
    assert!(
        store.import(ignored.as_bytes()).is_ok(),
        "what is ignored is not read"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_document_never_panics(place in 0_usize..20_000, byte in 0_u8..=255, cut in proptest::bool::ANY) {
        let mut bytes = crate::support::SDK_FIXTURE.as_bytes().to_vec();
        let place = place % bytes.len();
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] = byte;
        }
        let parsed = feature_flags::definition::document::parse(&bytes);
        // Every problem has a place and a demand.
        for problem in &parsed.notes.problems {
            proptest::prop_assert!(problem.path.starts_with('$') && !problem.expected.is_empty());
            proptest::prop_assert!(!problem.to_string().contains('\n'));
        }
    }
}
