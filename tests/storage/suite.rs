//! What every store must do, written against the ports alone.

use feature_flags::context::{
    ContinuityQuery, ContinuityReadFrom, FactsQuery, GatherError, JitteredPause, PersonSource, Retries,
    gather_continuity,
};
use feature_flags::definition::{RawFlag, RawProject};
use feature_flags::resilience::RetryBudget;
use feature_flags::snapshot::{BoxFuture, ProjectSource};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::load::{changed, raw};

/// A store under test, and how it is filled.
pub trait Subject {
    /// Definitions.
    fn projects(&self) -> Arc<dyn ProjectSource>;
    /// Persons.
    fn persons(&self) -> &dyn PersonSource;
    /// Stores a project document; panics if it is refused.
    fn seed<'a>(&'a self, document: &'a Value) -> BoxFuture<'a, ()>;
}

pub const TOKEN: &str = "phc_suite";
pub const TEAM: i32 = 77;

/// Flags of [`project`] that get continuity rows.
pub const CONTINUITY: [&str; 2] = ["steady", "steady-too"];

/// A project with one of everything that the ports can tell apart.
pub fn project() -> Value {
    json!({
        "team": {
            "id": TEAM, "project_id": 7, "api_token": TOKEN, "timezone": "Europe/Oslo",
            "minimal_flag_called_events": true, "cookieless_server_hash_mode": 2
        },
        "group_type_mapping": { "1": "project", "0": "organization" },
        "groups": [
            { "group_type_index": 0, "group_key": "acme", "properties": { "tier": "gold" } },
            { "group_type_index": 1, "group_key": "apollo", "properties": { "size": 5.0 } }
        ],
        "cohorts": [
            { "id": 71, "name": "static", "is_static": true, "members": ["known"] },
            { "id": 72, "name": "other static", "is_static": true, "members": ["visitor"] },
            { "id": 73, "name": "dynamic", "cohort_type": "person_property", "filters": { "properties": {
                "type": "AND", "values": [{ "type": "AND", "values": [
                    { "key": "plan", "type": "person", "value": "pro" }
                ]}]
            }}},
            { "id": 74, "name": "gone", "deleted": true }
        ],
        "flags": [
            { "id": 701, "key": "steady", "active": true, "ensure_experience_continuity": true,
              "version": 3, "evaluation_runtime": "server", "bucketing_identifier": "device_id",
              "evaluation_contexts": ["web", "app"], "has_experiment": true,
              "filters": { "groups": [{ "rollout_percentage": 40 }], "payloads": { "true": 5.0 } } },
            { "id": 702, "key": "steady-too", "active": true, "ensure_experience_continuity": true,
              "filters": { "groups": [] } },
            { "id": 703, "key": "off", "ensure_experience_continuity": true, "filters": {} },
            { "id": 704, "key": "deleted", "active": true, "deleted": true,
              "ensure_experience_continuity": true, "filters": {} },
            { "id": 705, "key": "secret-config", "active": true, "is_remote_configuration": true,
              "has_encrypted_payloads": true, "filters": {} },
            { "id": 706, "key": "open-config", "active": true, "is_remote_configuration": true, "filters": {} },
            // Entries hold what some active flag uses: here every cohort, group types, and the flag that is off.
            { "id": 707, "key": "uses-all", "active": true, "filters": { "groups": [
                { "properties": [
                    { "key": "id", "type": "cohort", "value": 71, "operator": "in" },
                    { "key": "id", "type": "cohort", "value": 72, "operator": "in" },
                    { "key": "id", "type": "cohort", "value": 73, "operator": "in" },
                    { "key": "id", "type": "cohort", "value": 74, "operator": "in" }
                ] },
                { "properties": [
                    { "key": "tier", "type": "group", "group_type_index": 0, "value": "gold", "operator": "exact" },
                    { "key": "703", "type": "flag", "value": false, "operator": "flag_evaluates_to" }
                ] }
            ] } }
        ],
        "persons": [
            { "distinct_ids": ["known", "known-phone"], "properties": { "plan": "pro", "score": 5.0 },
              "created_at": "2024-05-01T12:00:00+00:00" },
            { "distinct_ids": ["visitor"], "properties": {} }
        ],
        "config": { "supportedCompression": ["gzip"] },
        "quota_limited": ["feature_flags"]
    })
}

async fn found(subject: &dyn Subject, token: &str) -> Option<RawProject> {
    let loaded = subject.projects().load(token, None).await;
    raw(loaded.expect("the store answers"))
}

pub async fn load(subject: &dyn Subject) -> RawProject {
    found(subject, TOKEN).await.expect("the team exists")
}

fn flag<'p>(project: &'p RawProject, key: &str) -> &'p RawFlag {
    project
        .flags
        .iter()
        .find(|flag| flag.key == key)
        .expect("the flag is loaded")
}

pub async fn an_unknown_token_is_no_project(subject: &dyn Subject) {
    subject.seed(&project()).await;
    assert!(found(subject, "phc_unknown").await.is_none());
    assert!(found(subject, "").await.is_none());
}

pub async fn a_project_is_loaded_whole(subject: &dyn Subject) {
    subject.seed(&project()).await;
    let project = load(subject).await;
    let team = &project.team;
    assert_eq!(
        (team.id, team.project_id, team.api_token.as_str()),
        (TEAM, 7, TOKEN)
    );
    assert_eq!(team.timezone, "Europe/Oslo");
    assert!(team.minimal_flag_called_events);
    assert_eq!(team.cookieless_server_hash_mode, 2);
    assert_eq!(
        project.group_types,
        [(0, "organization".to_owned()), (1, "project".to_owned())]
    );
    let config: Value =
        serde_json::from_str(project.remote_config.as_deref().expect("config")).expect("JSON");
    assert_eq!(config, json!({ "supportedCompression": ["gzip"] }));
    assert!(project.malformed_flags.is_empty());

    let steady = flag(&project, "steady");
    assert_eq!((steady.id, steady.team_id, steady.version), (701, TEAM, Some(3)));
    assert!(steady.active && !steady.deleted);
    assert_eq!(steady.ensure_experience_continuity, Some(true));
    assert_eq!(steady.evaluation_runtime.as_deref(), Some("server"));
    assert_eq!(steady.bucketing_identifier.as_deref(), Some("device_id"));
    assert_eq!(
        steady.evaluation_contexts,
        Some(vec!["app".to_owned(), "web".to_owned()])
    );
    assert_eq!(steady.has_experiment, Some(true));
    assert_eq!(steady.filters.groups[0].rollout_percentage, Some(40.0));
    assert!(!flag(&project, "off").active);
}

pub async fn deleted_and_encrypted_flags_are_not_loaded(subject: &dyn Subject) {
    subject.seed(&project()).await;
    let project = load(subject).await;
    let mut keys: Vec<&str> = project.flags.iter().map(|flag| flag.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["off", "open-config", "steady", "steady-too", "uses-all"]);
}

pub async fn deleted_cohorts_are_not_loaded(subject: &dyn Subject) {
    subject.seed(&project()).await;
    let mut cohorts = load(subject).await.cohorts;
    cohorts.sort_by_key(|cohort| cohort.id);
    let ids: Vec<i32> = cohorts.iter().map(|cohort| cohort.id).collect();
    assert_eq!(ids, [71, 72, 73]);
    assert!(cohorts[0].is_static && !cohorts[2].is_static);
    assert_eq!(cohorts[2].cohort_type.as_deref(), Some("person_property"));
    assert_eq!(
        cohorts[2].filters.as_ref().expect("filters")["properties"]["type"],
        "AND"
    );
    assert!(cohorts[0].filters.is_none());
}

pub async fn a_person_is_found_by_each_distinct_id(subject: &dyn Subject) {
    subject.seed(&project()).await;
    for distinct_id in ["known", "known-phone"] {
        let facts = subject
            .persons()
            .facts(&facts_query(distinct_id))
            .await
            .expect("the store answers");
        let person = facts.person.expect("the person exists");
        assert_eq!(person.properties["plan"], "pro");
        assert_eq!(
            person.properties["score"].to_string(),
            "5.0",
            "a float stays a float"
        );
        assert!(person.created_at.expect("created_at").starts_with("2024-05-01"));
        assert_eq!(person.static_cohort_ids, [71]);
    }
}

pub async fn unknown_persons_and_groups_are_no_error(subject: &dyn Subject) {
    subject.seed(&project()).await;
    let facts = subject
        .persons()
        .facts(&facts_query("nobody"))
        .await
        .expect("the store answers");
    assert!(facts.person.is_none());
    let elsewhere = FactsQuery {
        team_id: TEAM + 1,
        ..facts_query("known")
    };
    let facts = subject
        .persons()
        .facts(&elsewhere)
        .await
        .expect("the store answers");
    assert!(facts.person.is_none(), "persons belong to a team");
    assert!(
        facts.groups.iter().all(Option::is_none),
        "groups belong to a team"
    );
}

pub async fn groups_are_matched_as_pairs(subject: &dyn Subject) {
    subject.seed(&project()).await;
    let facts = subject
        .persons()
        .facts(&facts_query("nobody"))
        .await
        .expect("the store answers");
    let gold = Map::from_iter([("tier".to_owned(), json!("gold"))]);
    let sized = Map::from_iter([("size".to_owned(), json!(5.0))]);
    assert_eq!(facts.groups, [Some(sized), None, Some(gold), None]);
}

fn facts_query(distinct_id: &str) -> FactsQuery {
    let groups = [(1, "apollo"), (0, "apollo"), (0, "acme"), (1, "acme")];
    FactsQuery {
        team_id: TEAM,
        distinct_id: distinct_id.to_owned(),
        static_cohort_ids: vec![71, 72, 99],
        groups: groups
            .into_iter()
            .map(|(index, key)| (index, key.to_owned()))
            .collect(),
    }
}

async fn needed(subject: &dyn Subject, distinct_ids: &[&str]) -> bool {
    subject
        .persons()
        .continuity_write_needed(TEAM, distinct_ids, &CONTINUITY)
        .await
        .expect("the store answers")
}

pub async fn write(subject: &dyn Subject, distinct_ids: &[&str], hash_key: &str) {
    subject
        .persons()
        .write_continuity(TEAM, distinct_ids, &CONTINUITY, hash_key)
        .await
        .expect("the write succeeds");
}

async fn read(subject: &dyn Subject, distinct_ids: &[&str]) -> Vec<(String, String)> {
    let read = subject
        .persons()
        .read_continuity(TEAM, distinct_ids, ContinuityReadFrom::Writer);
    let mut rows = read.await.expect("the store answers");
    rows.sort();
    rows
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter()
        .map(|(key, hash)| ((*key).to_owned(), (*hash).to_owned()))
        .collect()
}

pub async fn continuity_rows_are_written_for_active_flags_once(subject: &dyn Subject) {
    subject.seed(&project()).await;
    assert!(needed(subject, &["known", "anon"]).await);
    write(subject, &["known", "anon"], "anon").await;
    // Active, not deleted, with continuity; whatever their bucketing.
    let expected = pairs(&[("steady", "anon"), ("steady-too", "anon")]);
    assert_eq!(read(subject, &["known"]).await, expected);
    assert_eq!(
        read(subject, &["known-phone"]).await,
        expected,
        "rows belong to the person"
    );
    assert!(!needed(subject, &["known", "anon"]).await);
    write(subject, &["known", "later"], "later").await;
    assert_eq!(read(subject, &["known"]).await, expected, "the first writer wins");
    assert!(read(subject, &["visitor"]).await.is_empty());
}

pub async fn nothing_is_written_for_unknown_persons(subject: &dyn Subject) {
    subject.seed(&project()).await;
    assert!(!needed(subject, &["nobody", "anon"]).await);
    write(subject, &["nobody", "anon"], "anon").await;
    assert!(read(subject, &["nobody", "anon"]).await.is_empty());
}

pub async fn a_row_of_either_person_counts_as_recorded(subject: &dyn Subject) {
    let mut document = project();
    document["persons"][0]["hash_key_overrides"] = json!({ "steady": "first" });
    document["persons"][1]["hash_key_overrides"] = json!({ "steady-too": "second" });
    subject.seed(&document).await;
    assert!(
        !needed(subject, &["known", "visitor"]).await,
        "the union has every key"
    );
    assert!(needed(subject, &["known"]).await);
    assert!(needed(subject, &["visitor"]).await);
}

pub async fn the_earlier_distinct_id_wins(subject: &dyn Subject) {
    let mut document = project();
    document["persons"][0]["hash_key_overrides"] = json!({ "steady": "of-known" });
    document["persons"][1]["hash_key_overrides"] = json!({ "steady": "of-visitor", "steady-too": "alone" });
    subject.seed(&document).await;
    let known_first = pairs(&[("steady", "of-known"), ("steady-too", "alone")]);
    assert_eq!(read(subject, &["known", "visitor"]).await, known_first);
    let visitor_first = pairs(&[("steady", "of-visitor"), ("steady-too", "alone")]);
    assert_eq!(read(subject, &["visitor", "known"]).await, visitor_first);
    // A write fills the gaps of both persons and changes no row.
    write(subject, &["known", "visitor"], "visitor").await;
    assert_eq!(
        read(subject, &["known"]).await,
        pairs(&[("steady", "of-known"), ("steady-too", "visitor")])
    );
}

pub async fn a_hash_key_that_is_too_long_fails(subject: &dyn Subject) {
    subject.seed(&project()).await;
    let long = "é".repeat(401);
    let failed = subject
        .persons()
        .write_continuity(TEAM, &["known"], &CONTINUITY, &long)
        .await;
    assert!(matches!(failed, Err(GatherError::Database(_))), "{failed:?}");
    assert!(read(subject, &["known"]).await.is_empty());
    write(subject, &["known"], &"é".repeat(400)).await;
    assert_eq!(read(subject, &["known"]).await.len(), 2);
}

pub async fn the_whole_protocol_holds(subject: &dyn Subject) {
    subject.seed(&project()).await;
    let retries = Retries {
        pause: &JitteredPause,
        budget: &RetryBudget::default(),
    };
    let query = ContinuityQuery {
        team_id: TEAM,
        distinct_id: "known",
        anon_distinct_id: Some("anon"),
        flag_keys: &CONTINUITY,
        writes_allowed: false,
    };
    let rows = gather_continuity(subject.persons(), query, retries)
        .await
        .expect("the store answers");
    assert!(rows.is_empty(), "read-only mode writes nothing");
    let query = ContinuityQuery {
        writes_allowed: true,
        ..query
    };
    let mut rows = gather_continuity(subject.persons(), query, retries)
        .await
        .expect("the store answers");
    rows.sort();
    assert_eq!(rows, pairs(&[("steady", "anon"), ("steady-too", "anon")]));
    let query = ContinuityQuery {
        anon_distinct_id: None,
        ..query
    };
    let rows = gather_continuity(subject.persons(), query, retries)
        .await
        .expect("the store answers");
    assert_eq!(rows.len(), 2);
}

pub async fn only_definitions_are_news(subject: &dyn Subject) {
    subject.seed(&project()).await;
    assert_eq!(changed(&*subject.projects()).await, [TOKEN]);
    write(subject, &["known", "anon"], "anon").await;
    // Seeded last, so that its token alone proves that the write was no news.
    let mut other = project();
    other["team"] = json!({ "api_token": "phc_other" });
    other["flags"] = json!([{ "key": "only", "filters": {} }]);
    other["cohorts"] = json!([]);
    subject.seed(&other).await;
    assert_eq!(changed(&*subject.projects()).await, ["phc_other"]);
}
