//! Definitions, in today's schema and in older ones.

use std::sync::Arc;

use feature_flags::hypercache::{DefinitionDatabase, TEAM_SETTING_COLUMNS, TeamSelection};
use feature_flags::store::postgres::{Pool, PostgresDefinitions};

use crate::server::{Database, database, pools, settings};

const TEAMS: &str = r#"
INSERT INTO posthog_organization (id, name) VALUES ('00000000-0000-0000-0000-0000000000aa', 'Acme');
INSERT INTO posthog_project (id, organization_id, name) VALUES (70, '00000000-0000-0000-0000-0000000000aa', 'Web');
INSERT INTO posthog_team (id, uuid, organization_id, project_id, name, api_token, secret_api_token, timezone,
    session_recording_sample_rate, session_recording_event_trigger_config, session_recording_url_trigger_config,
    survey_config, cookieless_server_hash_mode) VALUES
  (7, '00000000-0000-0000-0000-000000000007', '00000000-0000-0000-0000-0000000000aa', 70, 'Seven', 'phc_seven', 'phs_seven',
   'Europe/Oslo', 0.50, ARRAY['a', NULL], ARRAY['{"url": 1.0}'::jsonb], '{"size": 5.0}', 2),
  (8, '00000000-0000-0000-0000-000000000008', '00000000-0000-0000-0000-0000000000aa', 70, 'Eight', 'phc_eight', NULL,
   'UTC', NULL, NULL, NULL, NULL, 0),
  (9, '00000000-0000-0000-0000-000000000009', '00000000-0000-0000-0000-0000000000aa', NULL, 'Nine', 'phc_nine', NULL,
   'UTC', NULL, NULL, NULL, NULL, 0);
INSERT INTO posthog_teamfeatureflagsconfig VALUES (7, true, 2);
INSERT INTO posthog_featureflag (id, team_id, key, name, filters, active, deleted, version, ensure_experience_continuity,
    is_remote_configuration, has_encrypted_payloads, evaluation_runtime, bucketing_identifier) VALUES
  (72, 7, 'second', 'Second', '{"groups": [{"rollout_percentage": 50.0}]}', true, false, NULL, NULL, NULL, NULL, NULL, NULL),
  (71, 7, 'first', '', '{"groups": []}', false, false, 3, true, false, false, 'server', 'device_id'),
  (73, 7, 'gone', '', '{}', true, true, 1, false, false, false, 'all', 'distinct_id'),
  (74, 7, 'secret', '', '{}', true, false, 1, false, true, true, 'all', 'distinct_id'),
  (75, 7, 'open', '', '{}', true, false, 1, false, true, false, 'all', 'distinct_id'),
  (81, 8, 'gone', '', '{}', true, true, 1, false, false, false, 'all', 'distinct_id');
INSERT INTO posthog_evaluationcontext (id, team_id, name) VALUES
  ('00000000-0000-0000-0000-0000000000c1', 7, 'web'), ('00000000-0000-0000-0000-0000000000c2', 7, 'App');
INSERT INTO posthog_featureflagevaluationcontext (feature_flag_id, evaluation_context_id) VALUES
  (71, '00000000-0000-0000-0000-0000000000c1'), (71, '00000000-0000-0000-0000-0000000000c2');
INSERT INTO posthog_tag (id, team_id, name) VALUES ('00000000-0000-0000-0000-0000000000d1', 7, 'older');
INSERT INTO posthog_featureflagevaluationtag (feature_flag_id, tag_id) VALUES (72, '00000000-0000-0000-0000-0000000000d1');
INSERT INTO posthog_experiment (team_id, feature_flag_id, name, deleted) VALUES
  (7, 72, 'running', false), (7, 72, 'again', false), (7, 71, 'deleted', true), (7, 75, 'unknown', NULL);
INSERT INTO posthog_cohort (id, team_id, name, filters, is_static, deleted, last_backfill_events_at, cohort_type) VALUES
  (701, 7, 'own', '{"properties": {"values": [1.50]}}', false, false, '2024-05-01T14:00:00+02:00', 'realtime'),
  (702, 7, 'gone', NULL, false, true, NULL, NULL),
  (801, 8, 'sibling', NULL, true, false, NULL, NULL),
  (901, 9, 'foreign', NULL, false, false, NULL, NULL);
INSERT INTO posthog_survey (id, team_id, name, linked_flag_id, targeting_flag_id, internal_targeting_flag_id) VALUES
  (gen_random_uuid(), 7, 's', 72, 75, NULL), (gen_random_uuid(), 7, 't', NULL, NULL, 71), (gen_random_uuid(), 8, 'u', NULL, 81, NULL);
INSERT INTO posthog_remoteconfig (id, team_id, config) VALUES (gen_random_uuid(), 7, '{"token": "phc_seven", "n": 1.0}');
INSERT INTO posthog_grouptypemapping (team_id, project_id, group_type, group_type_index) VALUES
  (7, 70, 'project', 1), (7, 70, 'organization', 0), (8, 70, 'sibling', 2), (9, 9, 'other', 0);
"#;

fn definitions(database: &Database) -> (PostgresDefinitions, Arc<Pool>) {
    let pools = pools(settings(&database.url));
    let main = Arc::clone(&pools.non_persons_reader);
    (
        PostgresDefinitions::new(pools.non_persons_reader, pools.persons_reader),
        main,
    )
}

fn setting<'s>(settings: &'s [String], name: &str) -> &'s str {
    let at = TEAM_SETTING_COLUMNS.iter().position(|column| *column == name);
    &settings[at.expect("a setting")]
}

#[tokio::test]
async fn a_project_is_read_whole_in_one_round_trip() {
    let database = database().await;
    database.run(TEAMS).await;
    let (definitions, pool) = definitions(&database);
    definitions
        .project_rows(9)
        .await
        .expect("an answer")
        .expect("a team");
    let before = pool.stats();
    let rows = definitions
        .project_rows(7)
        .await
        .expect("an answer")
        .expect("a team");
    let after = pool.stats();
    assert_eq!(
        (
            after.acquires - before.acquires,
            after.round_trips - before.round_trips
        ),
        (1, 1)
    );

    let team = &rows.team;
    assert_eq!(
        (
            team.id,
            team.project_id,
            team.name.as_str(),
            team.api_token.as_str()
        ),
        (7, Some(70), "Seven", "phc_seven")
    );
    assert_eq!(
        team.organization_id.as_deref(),
        Some("00000000-0000-0000-0000-0000000000aa")
    );
    assert_eq!(team.uuid, "00000000-0000-0000-0000-000000000007");
    assert_eq!(
        (
            team.secret_api_token.as_deref(),
            team.secret_api_token_backup.as_deref()
        ),
        (Some("phs_seven"), None)
    );
    assert_eq!(
        (team.organization_name.as_deref(), team.project_name.as_deref()),
        (Some("Acme"), Some("Web"))
    );
    assert_eq!(
        (
            team.timezone.as_str(),
            team.minimal_flag_called_events,
            team.property_matching_version
        ),
        ("Europe/Oslo", true, 2)
    );
    assert_eq!(team.settings.len(), TEAM_SETTING_COLUMNS.len());
    assert_eq!(
        setting(&team.settings, "session_recording_sample_rate"),
        "0.50",
        "as it is written"
    );
    assert_eq!(
        setting(&team.settings, "session_recording_event_trigger_config"),
        r#"["a", null]"#
    );
    assert_eq!(
        setting(&team.settings, "session_recording_url_trigger_config"),
        r#"[{"url": 1.0}]"#
    );
    assert_eq!(setting(&team.settings, "survey_config"), r#"{"size": 5.0}"#);
    assert_eq!(setting(&team.settings, "logs_settings"), "null");
    assert_eq!(setting(&team.settings, "cookieless_server_hash_mode"), "2");

    let keys: Vec<&str> = rows.flags.iter().map(|flag| flag.key.as_str()).collect();
    assert_eq!(keys, ["first", "second", "open"]);
    let [first, second, open] = &rows.flags[..] else {
        panic!("three")
    };
    assert_eq!(
        (first.id, first.team_id, first.version, first.active),
        (71, 7, Some(3), false)
    );
    assert_eq!(first.ensure_experience_continuity, Some(true));
    assert_eq!(
        (
            first.evaluation_runtime.as_deref(),
            first.bucketing_identifier.as_deref()
        ),
        (Some("server"), Some("device_id"))
    );
    assert_eq!(first.evaluation_contexts, ["App", "web"]);
    assert_eq!(
        (
            second.version,
            second.ensure_experience_continuity,
            &second.evaluation_runtime
        ),
        (None, None, &None)
    );
    assert_eq!(
        second.filters, r#"{"groups": [{"rollout_percentage": 50.0}]}"#,
        "numbers as they are written"
    );
    assert!(
        second.evaluation_contexts.is_empty(),
        "tags are not read beside contexts"
    );
    assert_eq!(
        [first, second, open].map(|flag| flag.has_experiment),
        [Some(false), Some(true), Some(false)]
    );

    let cohorts: Vec<i32> = rows.cohorts.iter().map(|cohort| cohort.id).collect();
    assert_eq!(cohorts, [701, 801], "of every team of the project");
    let own = &rows.cohorts[0];
    assert_eq!(
        own.filters.as_deref(),
        Some(r#"{"properties": {"values": [1.50]}}"#)
    );
    assert_eq!(
        own.last_backfill_events_at.as_deref(),
        Some("2024-05-01T12:00:00+00:00")
    );
    assert_eq!(
        (
            own.groups.as_deref(),
            own.query.as_deref(),
            own.description.as_deref()
        ),
        (Some("[]"), None, Some(""))
    );
    assert_eq!(rows.survey_flag_ids, [71, 75]);
    assert_eq!(
        rows.remote_config.as_deref(),
        Some(r#"{"n": 1.0, "token": "phc_seven"}"#)
    );
}

#[tokio::test]
async fn teams_are_found_by_token_and_listed() {
    let database = database().await;
    database.run(TEAMS).await;
    let (definitions, _) = definitions(&database);
    let seven = definitions
        .team_by_token("phc_seven")
        .await
        .expect("an answer")
        .expect("a team");
    assert_eq!(
        Some(seven),
        definitions
            .project_rows(7)
            .await
            .expect("an answer")
            .map(|rows| rows.team)
    );
    let nine = definitions
        .team_by_token("phc_nine")
        .await
        .expect("an answer")
        .expect("a team");
    assert_eq!(
        (
            nine.id,
            nine.project_id,
            nine.minimal_flag_called_events,
            nine.property_matching_version
        ),
        (9, None, false, 1)
    );
    for token in ["phc_nobody", "phs_seven", "nul\0", ""] {
        assert_eq!(definitions.team_by_token(token).await.expect("an answer"), None);
    }
    assert_eq!(definitions.project_rows(404).await.expect("an answer"), None);
    assert_eq!(
        definitions.team_ids(TeamSelection::All).await.expect("an answer"),
        [7, 8, 9]
    );
    assert_eq!(
        definitions
            .team_ids(TeamSelection::WithFlags)
            .await
            .expect("an answer"),
        [7, 8]
    );
}

#[tokio::test]
async fn cohorts_and_group_types_are_those_of_the_team() {
    let database = database().await;
    database.run(TEAMS).await;
    let (definitions, _) = definitions(&database);
    let cohorts = definitions.cohorts(7).await.expect("an answer");
    assert_eq!(cohorts.iter().map(|cohort| cohort.id).collect::<Vec<_>>(), [701]);
    let types = |pairs: &[(i32, &str)]| {
        pairs
            .iter()
            .map(|(at, name)| (*at, (*name).to_owned()))
            .collect::<Vec<_>>()
    };
    let own = types(&[(0, "organization"), (1, "project")]);
    assert_eq!(definitions.group_types(7).await.expect("an answer"), own);
    let all = types(&[(0, "organization"), (1, "project"), (2, "sibling")]);
    assert_eq!(definitions.project_group_types(70).await.expect("an answer"), all);
    assert!(definitions.group_types(404).await.expect("an answer").is_empty());
}

#[tokio::test]
async fn older_databases_have_tags_and_fewer_columns() {
    let database = database().await;
    database.run(TEAMS).await;
    database
        .run(
            "DROP TABLE posthog_featureflagevaluationcontext, posthog_evaluationcontext, posthog_remoteconfig,
                 posthog_teamfeatureflagsconfig, posthog_experiment;
             ALTER TABLE posthog_team DROP COLUMN logs_settings, DROP COLUMN secret_api_token, DROP COLUMN secret_api_token_backup;
             ALTER TABLE posthog_featureflag DROP COLUMN evaluation_runtime, DROP COLUMN bucketing_identifier;
             ALTER TABLE posthog_cohort DROP COLUMN last_backfill_events_at, DROP COLUMN cohort_type;
             ALTER TABLE posthog_survey DROP COLUMN internal_targeting_flag_id",
        )
        .await;
    let (older, _) = definitions(&database);
    let rows = older.project_rows(7).await.expect("an answer").expect("a team");
    assert_eq!(rows.flags[1].evaluation_contexts, ["older"]);
    assert_eq!(
        (&rows.flags[0].evaluation_runtime, rows.flags[1].has_experiment),
        (&None, Some(false))
    );
    assert_eq!(
        (rows.team.secret_api_token, rows.team.property_matching_version),
        (None, 1)
    );
    assert_eq!(setting(&rows.team.settings, "logs_settings"), "null");
    assert_eq!(
        (rows.cohorts.len(), rows.survey_flag_ids, rows.remote_config),
        (2, vec![75], None)
    );
    database
        .run("DROP TABLE posthog_featureflagevaluationtag, posthog_survey")
        .await;
    let (oldest, _) = definitions(&database);
    let rows = oldest.project_rows(7).await.expect("an answer").expect("a team");
    assert!(rows.flags.iter().all(|flag| flag.evaluation_contexts.is_empty()));
    assert!(rows.survey_flag_ids.is_empty());
}
