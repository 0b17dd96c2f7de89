//! What an import makes of sound documents.

use feature_flags::snapshot::TieredSettings;
use feature_flags::store::embedded::SAMPLE_PROJECT;
use feature_flags::store::import::ImportReport;
use serde_json::{Value, json};

use crate::load::{changed, load};
use crate::support::{New, SDK_FIXTURE, import, on_every_store, project, rows, store, warnings};

#[tokio::test]
async fn the_sdk_fixture_loads_as_it_is() {
    let store = store();
    let report = store.import(SDK_FIXTURE.as_bytes()).expect("sound");
    assert_eq!(report.warnings, []);
    assert_eq!((report.projects[0].team_id, report.projects[0].flags), (4242, 15));
    let loaded = load(&store, "phc_sdk_fixture_4242").await.expect("exists");
    assert_eq!(
        loaded.flags.len(),
        14,
        "all but the inactive one that no other refers to"
    );
    assert_eq!(loaded.malformed_flags, []);
    let fixture: Value = serde_json::from_str(SDK_FIXTURE).expect("JSON");
    let all = fixture["flags"].as_array().expect("flags");
    for stored in all.iter().filter(|flag| flag["active"] == true) {
        let flag = loaded
            .flags
            .iter()
            .find(|flag| stored["id"] == flag.id)
            .expect("the flag");
        assert_eq!(flag.key, stored["key"].as_str().expect("key"));
        assert_eq!(Some(flag.active), stored["active"].as_bool());
        assert_eq!(flag.has_experiment, Some(false));
        let variants = stored["filters"]["multivariate"]["variants"]
            .as_array()
            .map_or(0, Vec::len);
        assert_eq!(
            flag.filters
                .multivariate
                .as_ref()
                .map_or(0, |some| some.variants.len()),
            variants
        );
    }
    assert_eq!(
        loaded.group_types,
        [(0, "company".to_owned()), (1, "project".to_owned())]
    );
    assert_eq!(loaded.cohorts[0].id, 4201);
}

#[tokio::test]
async fn the_sample_project_is_sound() {
    let store = store();
    let report = store.import(SAMPLE_PROJECT.as_bytes()).expect("sound");
    assert_eq!(report.warnings, []);
    let loaded = load(&store, "phc_sample_project").await.expect("exists");
    // An inactive flag that no other refers to is in the store and not in the entry.
    assert_eq!(loaded.flags.len() + 1, report.projects[0].flags);
    assert!(loaded.flags.iter().all(|flag| flag.active));
}

on_every_store!(
    importing_again_changes_nothing,
    ids_are_given_in_order_and_found_again,
    explicit_ids_are_not_given_to_others,
    flags_may_swap_their_keys,
    definitions_are_replaced_and_people_stay,
    people_are_updated_by_distinct_id_without_news,
    the_uuid_decides_before_the_distinct_id,
    a_rotated_token_is_the_same_team,
    a_shared_key_stays_while_one_project_has_it,
    the_clear_text_of_a_key_is_stored_nowhere,
    teams_of_one_project_share_group_types,
    settings_that_are_left_out_return_to_their_defaults,
);

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Tokens of the teams that changed.
fn tokens(report: &ImportReport) -> Vec<&str> {
    report
        .changed
        .iter()
        .map(|team| team.api_token.as_str())
        .collect()
}

/// The fixture under another id, as a large installation would hold it.
fn numbered_fixture(index: i64) -> Value {
    let mut document: Value = serde_json::from_str(SDK_FIXTURE).expect("JSON");
    let team = &mut document["team"];
    team["id"] = json!(10_000 + index);
    team["project_id"] = team["id"].clone();
    team["uuid"] = json!(format!("00000000-0000-4000-8000-{:012}", 10_000 + index));
    team["api_token"] = json!(format!("phc_fixture_{index}"));
    team["secret_api_token"] = json!(format!("phs_fixture_{index}"));
    document["cohorts"][0]["id"] = json!(10_000 + index);
    for (place, flag) in document["flags"]
        .as_array_mut()
        .expect("flags")
        .iter_mut()
        .enumerate()
    {
        flag["id"] = json!(1_000_000 + index * 100 + i64::try_from(place).expect("small"));
    }
    document
}

#[tokio::test]
async fn five_hundred_projects_are_one_import() {
    let store = store();
    let documents: Vec<Value> = (0..500).map(numbered_fixture).collect();
    let report = import(&store, &json!(documents));
    assert_eq!(report.projects.len(), 500);
    assert!(report.projects.iter().all(|project| project.definitions_changed));
    let last = load(&store, "phc_fixture_499").await.expect("exists");
    assert_eq!((last.team.id, last.flags.len()), (10_499, 14));
    assert_eq!(
        changed(&*store.project_source(&TieredSettings::default()))
            .await
            .len(),
        500
    );
    // All of them share one personal API key.
    assert_eq!(
        rows(&store, "SELECT count(*) FROM posthog_personalapikey"),
        [["1"]]
    );
    assert_eq!(
        rows(&store, "SELECT count(*) FROM posthog_organizationmembership"),
        [["500"]]
    );
}

#[test]
fn lines_are_documents_too() {
    let store = store();
    let lines = format!(
        "{}\n\n{}\r\n",
        project("phc_a"),
        json!({ "team": { "api_token": "phc_b" } })
    );
    let report = store.import(lines.as_bytes()).expect("sound");
    let tokens: Vec<&str> = report
        .projects
        .iter()
        .map(|project| project.api_token.as_str())
        .collect();
    assert_eq!(tokens, ["phc_a", "phc_b"]);
    let marked = format!("\u{feff}{}", project("phc_a"));
    store
        .import(marked.as_bytes())
        .expect("a byte order mark does no harm");
}

fn importing_again_changes_nothing(new: New) {
    for document in [
        project("phc_a"),
        numbered_fixture(1),
        serde_json::from_str(SAMPLE_PROJECT).expect("JSON"),
        json!([project("phc_a"), { "team": { "api_token": "phc_b" }, "flags": [{ "key": "x", "filters": {} }] }]),
    ] {
        let store = new();
        assert!(store.import(&document).projects[0].definitions_changed);
        let before = store.dump();
        let again = store.import(&document);
        assert!(again.projects.iter().all(|project| !project.definitions_changed));
        assert_eq!(store.dump(), before, "revisions included");
    }
}

fn ids_are_given_in_order_and_found_again(new: New) {
    let store = new();
    let document = |keys: &[&str]| {
        let flags: Vec<Value> = keys
            .iter()
            .map(|key| json!({ "key": key, "filters": {} }))
            .collect();
        let cohorts: Vec<Value> = keys.iter().map(|key| json!({ "name": key })).collect();
        json!({ "team": { "api_token": "phc_a" }, "flags": flags, "cohorts": cohorts })
    };
    store.import(&document(&["a", "b"]));
    let sql = "SELECT id, key FROM posthog_featureflag ORDER BY id";
    assert_eq!(store.rows(sql), [["1", "a"], ["2", "b"]]);
    store.import(&document(&["c", "b", "a"]));
    assert_eq!(store.rows(sql), [["1", "a"], ["2", "b"], ["3", "c"]]);
    let sql = "SELECT id, name FROM posthog_cohort ORDER BY id";
    assert_eq!(store.rows(sql), [["1", "a"], ["2", "b"], ["3", "c"]]);
    store.import(&json!({ "team": { "api_token": "phc_b" }, "flags": [{ "key": "a", "filters": {} }] }));
    assert_eq!(
        store.rows("SELECT id, team_id FROM posthog_featureflag WHERE key = 'a' ORDER BY id"),
        [["1", "1"], ["4", "2"]]
    );
}

fn explicit_ids_are_not_given_to_others(new: New) {
    let store = new();
    let flags = json!([{ "key": "free", "filters": {} }, { "key": "fixed", "id": 1, "filters": {} }]);
    store.import(&json!({ "team": { "api_token": "phc_a" }, "flags": flags }));
    let sql = "SELECT id, key FROM posthog_featureflag ORDER BY id";
    assert_eq!(store.rows(sql), [["1", "fixed"], ["2", "free"]]);
    // The id of "free" now belongs to another key, so "free" gets a new one.
    let flags = json!([{ "key": "free", "filters": {} }, { "key": "new", "id": 2, "filters": {} }]);
    store.import(&json!({ "team": { "api_token": "phc_a" }, "flags": flags }));
    assert_eq!(store.rows(sql), [["2", "new"], ["3", "free"]]);
}

fn flags_may_swap_their_keys(new: New) {
    let store = new();
    let swapped = |first: &str, second: &str| {
        let flags =
            json!([{ "id": 1, "key": first, "filters": {} }, { "id": 2, "key": second, "filters": {} }]);
        json!({ "team": { "api_token": "phc_a" }, "flags": flags })
    };
    store.import(&swapped("a", "b"));
    store.import(&swapped("b", "a"));
    let sql = "SELECT id, key FROM posthog_featureflag ORDER BY id";
    assert_eq!(store.rows(sql), [["1", "b"], ["2", "a"]]);
}

fn definitions_are_replaced_and_people_stay(new: New) {
    let store = new();
    let mut document = project("phc_a");
    document["persons"][0]["hash_key_overrides"] = json!({ "one": "anon" });
    store.import(&document);
    let report = store.import(&json!({ "team": { "api_token": "phc_a" } }));
    assert!(report.projects[0].definitions_changed);
    for table in [
        "posthog_featureflag",
        "posthog_cohort",
        "posthog_cohortpeople",
        "posthog_grouptypemapping",
        "posthog_group",
        "posthog_personalapikey",
        "posthog_remoteconfig",
    ] {
        assert_eq!(
            store.rows(&format!("SELECT count(*) FROM {table}")),
            [["0"]],
            "{table}"
        );
    }
    if store.is_embedded() {
        assert_eq!(store.rows("SELECT count(*) FROM embedded_quota_limited"), [["0"]]);
    }
    assert_eq!(store.rows("SELECT count(*) FROM posthog_person"), [["2"]]);
    assert_eq!(
        store.rows("SELECT hash_key FROM posthog_featureflaghashkeyoverride"),
        [["anon"]]
    );
}

fn people_are_updated_by_distinct_id_without_news(new: New) {
    let store = new();
    let mut document = project("phc_a");
    store.import(&document);
    let people = "SELECT d.distinct_id, d.person_id, p.properties FROM posthog_persondistinctid d
                  JOIN posthog_person p ON p.id = d.person_id ORDER BY d.distinct_id";
    let before = store.rows(people);
    assert_eq!(json_of(&before[0][2]), json!({ "plan": "pro" }));
    assert_eq!(
        before[1][0], "unseen",
        "a member that nobody knew became a person"
    );
    document["persons"] = json!([{ "distinct_ids": ["ada-phone", "ada"], "properties": { "plan": "free" } }]);
    assert!(!store.import(&document).projects[0].definitions_changed);
    let after = store.rows(people);
    assert_eq!(after.len(), 3);
    assert_eq!(
        (&after[0][0], &after[0][1]),
        (&"ada".to_owned(), &before[0][1]),
        "the same person"
    );
    assert_eq!(after[1][..2], ["ada-phone".to_owned(), before[0][1].clone()]);
    assert_eq!(json_of(&after[0][2]), json!({ "plan": "free" }));
    document["persons"] = json!([{ "distinct_ids": ["ada"] }]);
    store.import(&document);
    assert_eq!(store.rows(people), after, "what a document leaves out stays");
}

fn the_uuid_decides_before_the_distinct_id(new: New) {
    let store = new();
    let (one, two) = (
        "00000000-0000-4000-8000-000000000001",
        "00000000-0000-4000-8000-000000000002",
    );
    let people = |persons: Value| json!({ "team": { "api_token": "phc_a" }, "persons": persons });
    store.import(&people(
        json!([{ "distinct_ids": ["a"], "uuid": one }, { "distinct_ids": ["b"], "uuid": two }]),
    ));
    let swapped =
        people(json!([{ "distinct_ids": ["b"], "uuid": one }, { "distinct_ids": ["a"], "uuid": two }]));
    store.import(&swapped);
    let sql = "SELECT d.distinct_id, p.uuid FROM posthog_persondistinctid d
               JOIN posthog_person p ON p.id = d.person_id ORDER BY d.distinct_id";
    assert_eq!(store.rows(sql), [["a", two], ["b", one]]);
    let before = store.dump();
    store.import(&swapped);
    assert_eq!(store.dump(), before);
}

#[test]
fn stored_text_is_the_text_that_came() {
    let filters =
        r#"{ "groups": [], "payloads": {"true": 5.0, "b": [1e3, "\u00e9"]},  "unknown": {"kept": 1} }"#;
    let document =
        format!(r#"{{"team": {{"api_token": "phc_a"}}, "flags": [{{"key": "a", "filters": {filters}}}]}}"#);
    let store = store();
    let report = store.import(document.as_bytes()).expect("sound");
    assert_eq!(
        report.warnings,
        [],
        "unknown keys inside filters are none of our business"
    );
    assert_eq!(
        rows(&store, "SELECT filters FROM posthog_featureflag"),
        [[filters]]
    );
}

fn a_rotated_token_is_the_same_team(new: New) {
    let store = new();
    let uuid = "00000000-0000-4000-8000-000000000009";
    let mut document = project("phc_old");
    document["team"]["uuid"] = json!(uuid);
    store.import(&document);
    document["team"]["api_token"] = json!("phc_new");
    let report = store.import(&document);
    assert_eq!(
        store.rows("SELECT id, api_token FROM posthog_team"),
        [["1", "phc_new"]]
    );
    assert_eq!(tokens(&report), ["phc_new"]);
    assert_eq!(report.replaced_tokens, ["phc_old"]);
    if store.is_embedded() {
        let revisions = "SELECT api_token FROM embedded_revision ORDER BY api_token";
        assert_eq!(
            store.rows(revisions),
            [["phc_new"], ["phc_old"]],
            "both tokens are news"
        );
    }
}

fn a_shared_key_stays_while_one_project_has_it(new: New) {
    let store = new();
    store.import(&json!([project("phc_a"), {
        "team": { "api_token": "phc_b" },
        "personal_api_keys": [{ "value": "phx_one", "label": "one", "scopes": ["*"], "user_id": 5 }]
    }]));
    let scopes = if store.is_embedded() {
        "scopes"
    } else {
        "to_json(scopes)"
    };
    let keys = &format!("SELECT secure_value, {scopes}, user_id FROM posthog_personalapikey");
    // printf %s phx_one | sha256sum
    let stored = "sha256$5637f3e276ec0b4e0c34269baf960dbe8404ee4f18d1310615a5fbb132a2355b";
    assert_eq!(store.rows(keys), [[stored, r#"["*"]"#, "5"]]);
    store.import(&json!({ "team": { "api_token": "phc_a" } }));
    assert_eq!(store.rows(keys).len(), 1, "the other project still has it");
    store.import(&json!({ "team": { "api_token": "phc_b" } }));
    assert!(store.rows(keys).is_empty());
}

fn the_clear_text_of_a_key_is_stored_nowhere(new: New) {
    let store = new();
    let mut document = project("phc_a");
    document["personal_api_key"]["value"] = json!("phx_very_secret_value");
    store.import(&document);
    assert!(!format!("{:?}", store.dump()).contains("very_secret"));
}

fn teams_of_one_project_share_group_types(new: New) {
    let store = new();
    let team = |token: &str, name: &str| json!({ "team": { "api_token": token, "project_id": 9 }, "group_type_mapping": { "0": name } });
    store.import(&json!([team("phc_a", "company"), team("phc_b", "company")]));
    let revisions = || match store.is_embedded() {
        true => store.rows("SELECT revision FROM embedded_revision WHERE api_token = 'phc_b'"),
        false => Vec::new(),
    };
    let before = revisions();
    let report = store.import(&team("phc_a", "workspace"));
    assert_eq!(
        tokens(&report),
        ["phc_a", "phc_b"],
        "the other team of the project hears of it"
    );
    assert_eq!(revisions() != before, store.is_embedded());
}

fn settings_that_are_left_out_return_to_their_defaults(new: New) {
    let store = new();
    let mut document = json!({ "team": {
        "api_token": "phc_a", "heatmaps_opt_in": true, "capture_dead_clicks": true,
        "session_recording_sample_rate": "0.50", "session_replay_config": { "a": [1.0] },
        "minimal_flag_called_events": true
    }});
    store.import(&document);
    let sql = "SELECT CASE heatmaps_opt_in WHEN true THEN 1 WHEN false THEN 0 END, CAST(capture_dead_clicks AS integer),
               session_recording_sample_rate, CAST(session_replay_config AS text),
               CAST(capture_performance_opt_in AS integer), (SELECT count(*) FROM posthog_teamfeatureflagsconfig) FROM posthog_team";
    let mut stored = store.rows(sql);
    assert_eq!(json_of(&std::mem::take(&mut stored[0][3])), json!({ "a": [1.0] }));
    assert_eq!(stored, [["1", "1", "0.50", "", "1", "1"]]);
    document["team"] = json!({ "api_token": "phc_a" });
    store.import(&document);
    assert_eq!(store.rows(sql), [["null", "0", "null", "null", "1", "0"]]);
}

#[test]
fn odd_documents_are_imported_with_warnings() {
    let filter = |filter: Value| json!({ "properties": [filter] });
    let document = json!({
        "team": { "api_token": "phc_a", "timezone": "Mars/Olympus", "colour": "red" },
        "extra": 1,
        "cohorts": [
            { "id": 1, "is_static": false, "filters": {}, "colour": 1 },
            { "id": 2, "filters": { "properties": { "type": "OR", "values": [
                { "type": "AND", "values": [
                    { "key": "id", "type": "cohort", "value": "1" },
                    { "key": "a", "type": "behavioral", "value": "x" },
                    { "key": "a", "type": "person", "value": "(", "operator": "regex" },
                    { "key": "a", "type": "person", "value": "(", "operator": "odd" }
                ]}
            ]}}},
            { "id": 3, "filters": [] }
        ],
        "flags": [{
            "key": "a", "colour": 1, "team_id": 99, "evaluation_runtime": "edge", "bucketing_identifier": "x",
            "filters": {
                "aggregation_group_type_index": 3,
                "colour": 1,
                "version": 2,
                "payloads": "text",
                "multivariate": { "variants": [
                    { "key": "a", "rollout_percentage": 150 }, { "key": "a", "rollout_percentage": 1 }
                ]},
                "groups": [
                    filter(json!({ "key": "id", "type": "cohort", "value": 77, "operator": "exact" })),
                    filter(json!({ "key": "id", "type": "cohort", "value": "5" })),
                    filter(json!({ "key": "88", "type": "flag", "value": true, "operator": "flag_evaluates_to" })),
                    filter(json!({ "key": "name", "type": "flag", "value": true })),
                    filter(json!({ "key": "a", "type": "person", "value": "(", "operator": "not_regex" })),
                ]
            }
        }],
        "personal_api_key": { "value": "phx_a", "label": "a", "user_id": 1 }
    });
    let found = warnings(&document);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    let filters = "$.flags[0].filters";
    let expected = [
        "$.team.timezone".to_owned(),
        "$.team.colour".to_owned(),
        "$.cohorts[0].colour".to_owned(),
        "$.cohorts[1].filters.properties.values[0].values[0].value".to_owned(),
        "$.cohorts[1].filters.properties.values[0].values[1].type".to_owned(),
        "$.cohorts[1].filters.properties.values[0].values[2].value".to_owned(),
        "$.cohorts[1].filters.properties.values[0].values[3].operator".to_owned(),
        "$.cohorts[2].filters".to_owned(),
        "$.flags[0].team_id".to_owned(),
        format!("{filters}.groups[0].properties[0].operator"),
        format!("{filters}.groups[1].properties[0].value"),
        format!("{filters}.groups[3].properties[0].key"),
        format!("{filters}.groups[3].properties[0].operator"),
        format!("{filters}.groups[4].properties[0].value"),
        format!("{filters}.multivariate.variants[0].rollout_percentage"),
        format!("{filters}.multivariate.variants[1].key"),
        format!("{filters}.multivariate.variants"),
        format!("{filters}.payloads"),
        format!("{filters}.version"),
        "$.flags[0].evaluation_runtime".to_owned(),
        "$.flags[0].bucketing_identifier".to_owned(),
        "$.flags[0].colour".to_owned(),
        "$.personal_api_key.scopes".to_owned(),
        "$.extra".to_owned(),
        format!("{filters}.groups[0].properties[0].value"),
        format!("{filters}.groups[2].properties[0].key"),
        format!("{filters}.aggregation_group_type_index"),
    ];
    assert_eq!(paths, expected);
}
