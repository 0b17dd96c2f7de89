//! Whole requests over the store: what flags say when persons cannot be had in time, and which flags get continuity rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use feature_flags::definition::{RawFlag, RawProject, RawTeam};
use feature_flags::engine::{CompiledProject, ContinuityLookups, Instant, compile};
use feature_flags::evaluation::{EvaluationSettings, Fairness, RequestScope, Scratch, evaluate};
use feature_flags::store::postgres::{PoolSettings, PostgresPersons};
use feature_flags::wire::request::FlagRequest;
use serde_json::json;

use crate::server::{Database, PEOPLE, client, database, pools, settings};

fn project() -> CompiledProject {
    let half = json!({ "groups": [{ "rollout_percentage": 50 }] });
    let flags = json!([
        { "id": 1, "team_id": 7, "key": "stored", "active": true, "filters": { "groups": [{ "properties": [
            { "key": "plan", "type": "person", "value": "pro", "operator": "exact" }
        ] }] } },
        { "id": 2, "team_id": 7, "key": "open", "active": true, "filters": { "groups": [{}] } },
        { "id": 3, "team_id": 7, "key": "steady", "active": true, "ensure_experience_continuity": true, "filters": half },
        { "id": 4, "team_id": 7, "key": "off", "active": false, "ensure_experience_continuity": true, "filters": half },
        { "id": 5, "team_id": 7, "key": "grouped", "active": true, "ensure_experience_continuity": true,
          "filters": { "aggregation_group_type_index": 0, "groups": [{}] } }
    ]);
    let flag = |flag: &serde_json::Value| sonic_rs::from_str::<RawFlag>(&flag.to_string()).expect("a flag");
    compile(&RawProject {
        team: RawTeam {
            id: 7,
            project_id: 7,
            timezone: "UTC".to_owned(),
            ..RawTeam::default()
        },
        flags: flags.as_array().expect("a list").iter().map(flag).collect(),
        ..RawProject::default()
    })
}

/// Reason codes by flag.
async fn reasons(
    persons: &PostgresPersons,
    anon_distinct_id: Option<&str>,
    persons_deadline: Duration,
) -> BTreeMap<String, &'static str> {
    let project = project();
    let request = FlagRequest {
        distinct_id: Some("known"),
        anon_distinct_id,
        ..FlagRequest::default()
    };
    let scope = RequestScope {
        runtime: None,
        survey_only: false,
        now: Instant::from_nanos(1_720_000_000_000_000_000),
        location: None,
    };
    let settings = EvaluationSettings {
        continuity_lookups: ContinuityLookups::WhenItMatters,
        skip_writes: false,
        persons_deadline,
        retry_budget: Arc::default(),
        pool: None,
        fairness: Arc::new(Fairness::off()),
    };
    let mut scratch = Scratch::default();
    evaluate(&project, 7, &request, &scope, persons, &settings, &mut scratch)
        .await
        .expect("no pool to wait for");
    let reason = |result: &feature_flags::engine::FlagResult| {
        (project.flag(result.flag).key.to_string(), result.reason.code())
    };
    scratch.results().iter().map(reason).collect()
}

fn persons(database: &Database, change: impl FnOnce(&mut PoolSettings)) -> PostgresPersons {
    let mut settings = settings(&database.url);
    change(&mut settings);
    let pools = pools(settings);
    PostgresPersons::new(pools.persons_reader, pools.persons_writer)
}

#[tokio::test]
async fn the_snapshot_says_which_flags_get_rows() {
    let database = database().await;
    database.run(PEOPLE).await;
    // As in a persons database of its own.
    database
        .run("DROP TABLE posthog_featureflag CASCADE; DROP TABLE posthog_team CASCADE")
        .await;
    let persons = persons(&database, |_| {});
    let answers = reasons(&persons, Some("device"), Duration::from_secs(10)).await;
    assert_eq!(answers["stored"], "condition_match");
    let rows =
        "SELECT feature_flag_key || '=' || hash_key FROM posthog_featureflaghashkeyoverride ORDER BY 1";
    assert_eq!(database.texts(rows).await, ["grouped=device", "steady=device"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeouts_are_named_and_cost_only_flags_that_needed_the_data() {
    let database = database().await;
    database.run(PEOPLE).await;
    let patient = persons(&database, |_| {});
    let strict = persons(&database, |settings| {
        settings.statement_timeout = Duration::from_millis(100);
    });
    for store in [&patient, &strict] {
        reasons(store, None, Duration::from_secs(10)).await;
    }
    let locker = client(&database.url).await;
    let lock = "BEGIN; LOCK TABLE posthog_person IN ACCESS EXCLUSIVE MODE";
    locker.batch_execute(lock).await.expect("locked");

    let answers = reasons(&strict, None, Duration::from_secs(10)).await;
    assert_eq!(answers["stored"], "timeout:query_canceled");
    assert_eq!(answers["open"], "condition_match");

    let start = std::time::Instant::now();
    let answers = reasons(&patient, Some("device"), Duration::from_millis(300)).await;
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(answers["stored"], "timeout:persons_db_deadline");
    assert_eq!(answers["open"], "condition_match");
    assert_eq!(answers["steady"], "hash_key_override_error");
}
