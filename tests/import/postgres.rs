//! What only PostgreSQL can do: two databases, other writers, other layouts, and what it refuses.

use std::sync::Barrier;
use std::thread;

use feature_flags::store::import::ImportReport;
use feature_flags::store::postgres::import::{ImportError, ImportFailure, ImportTarget};
use serde_json::{Value, json};

use crate::database::{Database, servers};
use crate::support::{SDK_FIXTURE, project};

const PERSONS_TABLES: [&str; 6] = [
    "posthog_person",
    "posthog_persondistinctid",
    "posthog_featureflaghashkeyoverride",
    "posthog_cohortpeople",
    "posthog_group",
    "posthog_grouptypemapping",
];

pub fn import(database: &Database, document: &Value) -> ImportReport {
    database
        .import(document.to_string().as_bytes())
        .expect("the document is sound")
}

fn failure(database: &Database, document: &Value) -> ImportFailure {
    let before = database.dump();
    match database.import(document.to_string().as_bytes()) {
        Err(ImportError::Store(failure)) => {
            assert_eq!(database.dump(), before, "nothing was imported");
            failure
        }
        other => panic!("{other:?}"),
    }
}

/// Databases that each have only their own tables.
pub fn split(main_url: String, persons_url: String) -> Database {
    let database = Database::at(ImportTarget {
        main_url,
        persons_url: Some(persons_url.clone()),
    });
    database.rows(&format!("DROP TABLE {} CASCADE", PERSONS_TABLES.join(", ")));
    let others = format!(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'
         AND tablename NOT LIKE 'posthog_person_p%' AND tablename NOT IN ('{}')",
        PERSONS_TABLES.join("', '")
    );
    let others: Vec<String> = database
        .rows_of(&persons_url, &others)
        .into_iter()
        .flatten()
        .collect();
    database.rows_of(&persons_url, &format!("DROP TABLE {} CASCADE", others.join(", ")));
    database
}

pub fn persons(database: &Database) -> Vec<Vec<String>> {
    let url = database.target.persons_url.as_deref().expect("two databases");
    database.rows_of(
        url,
        "SELECT d.team_id, d.distinct_id, p.properties ->> 'plan' FROM posthog_persondistinctid d
         JOIN posthog_person p ON p.team_id = d.team_id AND p.id = d.person_id ORDER BY d.distinct_id",
    )
}

#[test]
fn persons_may_have_a_database_of_their_own() {
    let database = split(servers().database(), servers().database());
    let document = project("phc_a");
    assert!(import(&database, &document).projects[0].definitions_changed);
    assert_eq!(persons(&database), [["1", "ada", "pro"], ["1", "unseen", "null"]]);
    let before = database.dump();
    assert_eq!(import(&database, &document).changed, []);
    assert_eq!(database.dump(), before);
}

#[test]
fn two_urls_of_one_database_do_not_wait_for_each_other() {
    let url = servers().database();
    let database = Database::at(ImportTarget {
        main_url: url.clone(),
        persons_url: Some(url),
    });
    import(&database, &project("phc_a"));
    assert_eq!(database.rows("SELECT count(*) FROM posthog_person"), [["2"]]);
}

#[test]
fn imports_run_one_after_the_other() {
    let database = Database::new();
    let start = Barrier::new(6);
    thread::scope(|scope| {
        for token in ["phc_a", "phc_b", "phc_c", "phc_a", "phc_b", "phc_c"] {
            let (start, target) = (&start, database.target.clone());
            scope.spawn(move || {
                let database = Database::at(target);
                start.wait();
                import(&database, &project(token));
            });
        }
    });
    let teams = "SELECT count(*), count(DISTINCT id), max(id) FROM posthog_team";
    assert_eq!(database.rows(teams), [["3", "3", "3"]]);
    assert_eq!(
        database.rows("SELECT count(*), count(DISTINCT team_id) FROM posthog_featureflag"),
        [["3", "3"]]
    );
    assert_eq!(database.rows("SELECT count(*) FROM posthog_person"), [["6"]]);
}

#[test]
fn ids_that_an_import_used_are_not_given_out_by_the_sequence() {
    let database = Database::new();
    let flags = json!([{ "id": 50, "key": "fixed", "filters": {} }]);
    import(
        &database,
        &json!({ "team": { "id": 7, "api_token": "phc_a" }, "flags": flags }),
    );
    let insert = "INSERT INTO posthog_featureflag (team_id, key) VALUES (7, 'other') RETURNING id";
    assert_eq!(database.rows(insert), [["51"]]);
    let lower = json!({ "team": { "id": 3, "api_token": "phc_b" }, "flags": [{ "id": 9, "key": "x", "filters": {} }] });
    import(&database, &lower);
    let insert = "INSERT INTO posthog_featureflag (team_id, key) VALUES (7, 'third') RETURNING id";
    assert_eq!(database.rows(insert), [["52"]], "a sequence never goes back");
}

#[test]
fn values_become_what_their_columns_are() {
    let database = Database::new();
    let document = json!({
        "team": {
            "api_token": "phc_a", "session_recording_event_trigger_config": ["a,\"b\"", null, "\\"],
            "session_recording_url_trigger_config": [{ "url": "x\"y", "matching": "regex" }],
            "recording_domains": ["https://*.example.com"], "session_recording_sample_rate": "0.25"
        },
        "flags": [{ "key": "a", "filters": { "groups": [] }, "has_experiment": true }],
        "persons": [{ "distinct_ids": ["ada"], "created_at": "2024-01-02T03:04:05Z", "properties": {} }],
        "quota_limited": ["feature_flags"]
    });
    let report = import(&database, &document);
    assert_eq!(report.projects[0].quota_limited, ["feature_flags"]);
    let sql = "SELECT to_json(session_recording_event_trigger_config),
               session_recording_url_trigger_config[1] ->> 'url', recording_domains[1],
               session_recording_sample_rate = 0.25 FROM posthog_team";
    let domain = "https://*.example.com";
    assert_eq!(
        database.rows(sql),
        [[r#"["a,\"b\"",null,"\\"]"#, "x\"y", domain, "t"]]
    );
    let experiments = "SELECT e.deleted, f.key FROM posthog_experiment e
                       JOIN posthog_featureflag f ON f.id = e.feature_flag_id";
    assert_eq!(database.rows(experiments), [["f", "a"]]);
    let born = "SELECT created_at = '2024-01-02 03:04:05+00' FROM posthog_person";
    assert_eq!(database.rows(born), [["t"]]);
    assert_eq!(import(&database, &document).changed, []);
    let mut without = document.clone();
    without["flags"][0]["has_experiment"] = json!(false);
    assert_eq!(import(&database, &without).changed.len(), 1);
    assert_eq!(database.rows(experiments), [["t", "a"]]);
    import(&database, &json!({ "team": { "api_token": "phc_a" } }));
    assert!(
        database.rows(experiments).is_empty(),
        "flag and experiment go together"
    );
}

#[test]
fn the_sdk_fixture_is_imported() {
    let database = Database::new();
    let report = database.import(SDK_FIXTURE.as_bytes()).expect("sound");
    assert_eq!((report.projects[0].team_id, report.projects[0].flags), (4242, 15));
    assert_eq!(
        database.rows("SELECT count(*) FROM posthog_featureflag WHERE team_id = 4242"),
        [["15"]]
    );
    let members = "SELECT count(*) FROM posthog_grouptypemapping WHERE project_id = 4242";
    assert_eq!(database.rows(members), [["2"]]);
    assert_eq!(
        database.import(SDK_FIXTURE.as_bytes()).expect("sound").changed,
        []
    );
}

#[test]
fn columns_that_only_production_has_are_left_alone() {
    let database = Database::new();
    database.rows(
        "ALTER TABLE posthog_team ADD app_urls varchar(200)[] NOT NULL, ADD \"order\" integer NOT NULL,
             ADD slack text NOT NULL, ADD seen timestamptz NOT NULL, ADD extra jsonb NOT NULL;
         ALTER TABLE posthog_organization ADD plan varchar(9) NOT NULL;
         ALTER TABLE posthog_person ADD note text NOT NULL;
         ALTER TABLE posthog_person DROP is_deleted;
         ALTER TABLE posthog_persondistinctid DROP is_deleted;
         DROP TABLE posthog_featureflagevaluationtag",
    );
    let document = project("phc_a");
    import(&database, &document);
    database.rows("UPDATE posthog_team SET slack = 'kept'");
    let before = database.dump();
    assert_eq!(import(&database, &document).changed, []);
    assert_eq!(database.dump(), before);
    import(
        &database,
        &json!({ "team": { "api_token": "phc_a", "name": "Other" } }),
    );
    assert_eq!(
        database.rows("SELECT name, slack FROM posthog_team"),
        [["Other", "kept"]]
    );
}

#[test]
fn keys_that_no_import_brought_stay() {
    let database = Database::new();
    let document = project("phc_a");
    import(&database, &document);
    // As if the application had made it.
    database.rows(
        "UPDATE posthog_personalapikey SET id = 'made elsewhere'; DELETE FROM feature_flags_project_key",
    );
    import(&database, &document);
    let keys = "SELECT id, label FROM posthog_personalapikey";
    assert_eq!(database.rows(keys), [["made elsewhere", "one"]]);
    import(&database, &json!({ "team": { "api_token": "phc_a" } }));
    assert_eq!(database.rows(keys), [["made elsewhere", "one"]]);
}

#[test]
fn a_refusal_of_the_server_is_one_clear_line() {
    let database = Database::new();
    import(&database, &json!({ "team": { "api_token": "phc_z" } }));
    database.rows("INSERT INTO posthog_user (id, email) VALUES (99, 'user-5@import.invalid')");
    let taken = failure(&database, &project("phc_a"));
    assert!(
        matches!(&taken, ImportFailure::Taken { table, .. } if table == "posthog_user"),
        "{taken:?}"
    );
    let nul = json!({ "team": { "api_token": "phc_a" }, "persons": [{ "distinct_ids": ["a"], "properties": { "x": "\u{0}" } }] });
    let refused = failure(&database, &nul);
    assert!(matches!(refused, ImportFailure::Value { .. }), "{refused:?}");
    database.rows(
        "CREATE TABLE other (flag integer REFERENCES posthog_cohort (id) DEFERRABLE INITIALLY DEFERRED)",
    );
    let cohort = json!({ "team": { "api_token": "phc_b" }, "cohorts": [{ "id": 5 }] });
    import(&database, &cohort);
    database.rows("INSERT INTO other VALUES (5)");
    let referred = failure(&database, &json!({ "team": { "api_token": "phc_b" } }));
    assert!(
        matches!(&referred, ImportFailure::Referred { table, .. } if table == "other"),
        "{referred:?}"
    );
    database.rows("DELETE FROM posthog_user; DROP TABLE posthog_group");
    let layout = failure(&database, &project("phc_c"));
    assert!(matches!(layout, ImportFailure::Layout { .. }), "{layout:?}");
    for failure in [taken, refused, referred, layout] {
        let line = failure.to_string();
        assert!(
            line.contains("database test_") && !line.contains('\n') && !line.contains("phc_"),
            "{line}"
        );
    }
}

#[test]
fn an_absent_server_is_named_without_the_password() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let database = Database::at(ImportTarget {
        main_url: format!("postgres://ada:hush@127.0.0.1:{port}/posthog"),
        persons_url: None,
    });
    let failure = database.import(b"{}").expect_err("nobody listens").to_string();
    assert!(
        failure.contains(&format!("127.0.0.1:{port}, database posthog")),
        "{failure}"
    );
    assert!(!failure.contains("hush") && !failure.contains('\n'), "{failure}");
    assert!(!format!("{:?}", database.target).contains("hush"));
    let broken = Database::at(ImportTarget {
        main_url: "postgres://ada:hush@[".to_owned(),
        persons_url: None,
    });
    let failure = broken.import(b"{}").expect_err("no URL").to_string();
    assert!(!failure.contains("hush"), "{failure}");
}
