//! Servers that are killed while an import commits.

use std::thread;
use std::time::{Duration, Instant};

use feature_flags::store::import::ImportReport;
use feature_flags::store::postgres::import::{ImportError, ImportFailure, ImportTarget};
use serde_json::{Value, json};

use crate::database::Database;
use crate::postgres::{import, persons, split};
use crate::servers::Servers;
use crate::support::project;

/// Imports while commits of the main server wait for a replica that does not exist, and runs `crash` when
/// this one waits.
fn import_crashing(
    database: &Database,
    document: &Value,
    crash: impl FnOnce(),
) -> Result<ImportReport, ImportError> {
    database.rows("ALTER SYSTEM SET synchronous_standby_names = 'absent'");
    database.rows("SELECT pg_reload_conf()");
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            let database = Database::at(database.target.clone());
            database.import(document.to_string().as_bytes())
        });
        let waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let until = Instant::now() + Duration::from_secs(60);
        while database.rows(waiting).is_empty() {
            assert!(
                !running.is_finished() && Instant::now() < until,
                "main never waited in its commit"
            );
            thread::yield_now();
        }
        // Takes effect when the server reads its settings again, or starts again.
        database.rows("ALTER SYSTEM RESET synchronous_standby_names");
        crash();
        running.join().expect("no panic")
    })
}

#[test]
fn a_crash_between_the_commits_is_repaired_by_importing_again() {
    let (main, other) = (Servers::start(&["postgres"]), Servers::start(&["postgres"]));
    let database = split(main.database(), other.database());
    let old = json!({ "team": { "api_token": "phc_a" }, "persons": [{ "distinct_ids": ["ada"], "properties": { "plan": "free" } }] });
    import(&database, &old);
    let document = project("phc_a");
    let crashed = import_crashing(&database, &document, || {
        other.command("kill postgres");
        database.rows("SELECT pg_reload_conf()");
    });
    let Err(ImportError::Store(failure @ ImportFailure::PersonsNotCommitted { .. })) = crashed else {
        panic!("{crashed:?}")
    };
    assert!(
        failure.to_string().contains("run the same import again"),
        "{failure}"
    );
    other.command("start postgres");
    assert_eq!(database.rows("SELECT key FROM posthog_featureflag"), [["one"]]);
    assert_eq!(
        persons(&database),
        [["1", "ada", "free"]],
        "the new person was not committed"
    );
    import(&database, &document);
    assert_eq!(persons(&database), [["1", "ada", "pro"], ["1", "unseen", "null"]]);
    let repaired = database.dump();
    import(&database, &document);
    assert_eq!(database.dump(), repaired);
}

#[test]
fn a_commit_that_nobody_answered_is_not_called_a_failure() {
    let main = Servers::start(&["postgres"]);
    let database = Database::at(ImportTarget {
        main_url: main.database(),
        persons_url: None,
    });
    let document = project("phc_a");
    let crashed = import_crashing(&database, &document, || main.command("kill postgres"));
    assert!(
        matches!(
            crashed,
            Err(ImportError::Store(ImportFailure::CommitUnknown { .. }))
        ),
        "{crashed:?}"
    );
    main.command("start postgres");
    import(&database, &document);
    assert_eq!(database.rows("SELECT count(*) FROM posthog_team"), [["1"]]);
    assert_eq!(import(&database, &document).changed, []);
}
