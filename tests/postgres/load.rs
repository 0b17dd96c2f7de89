//! What requests cost, and what happens when there are too many, too slow, or given up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::context::{FactsQuery, GatherError, PersonSource, TimeoutKind};
use feature_flags::store::postgres::{ErrorClass, PoolSettings, Pools, PoolsSettings, PostgresPersons, ping};

use crate::facts::query;
use crate::server::{Database, PEOPLE, client, database, pools, settings};

/// Persons over pools of their own kind, and the reader's pool.
fn store(settings: PoolSettings) -> (Arc<PostgresPersons>, Arc<feature_flags::store::postgres::Pool>) {
    let pools = pools(settings);
    let reader = Arc::clone(&pools.persons_reader);
    let persons = PostgresPersons::new(pools.persons_reader, pools.persons_writer);
    (Arc::new(persons), reader)
}

/// A query for a person only.
fn person(distinct_id: &str) -> FactsQuery {
    FactsQuery {
        groups: Vec::new(),
        ..query(distinct_id)
    }
}

/// Holds up whoever reads persons until it is dropped or rolls back.
async fn lock(database: &Database) -> tokio_postgres::Client {
    let locker = client(&database.url).await;
    let lock = "BEGIN; LOCK TABLE posthog_person IN ACCESS EXCLUSIVE MODE";
    locker.batch_execute(lock).await.expect("locked");
    locker
}

/// Waits until as many statements of the database wait for a lock.
async fn blocked(database: &Database, wanted: i64) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        let row = database
            .admin
            .query_one(waits, &[])
            .await
            .expect("the server answers");
        if row.get::<_, i64>(0) == wanted {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_one_acquire_and_one_round_trip() {
    let database = database().await;
    database.run(PEOPLE).await;
    for test_before_acquire in [false, true] {
        let (persons, pool) = store(PoolSettings {
            test_before_acquire,
            ..settings(&database.url)
        });
        persons
            .facts(&person("known"))
            .await
            .expect("what the database has is looked up");
        let before = pool.stats();
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..4 {
            let persons = Arc::clone(&persons);
            tasks.spawn(async move {
                for request in 0..250 {
                    // Half of them with groups, which travel with the person.
                    let asked = if request % 2 == worker % 2 {
                        query("known")
                    } else {
                        person("known")
                    };
                    let facts = persons.facts(&asked).await.expect("the store answers");
                    assert!(facts.person.is_some());
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic");
        }
        let after = pool.stats();
        assert_eq!(after.acquires - before.acquires, 1000);
        assert_eq!(after.round_trips - before.round_trips, 1000);
        assert!(after.connections_created <= 4 && after.size <= 4, "{after:?}");
        let tests = after.tests - before.tests;
        assert_eq!(tests, if test_before_acquire { 1000 } else { 0 });
        assert_eq!((after.active, after.waiting, after.canceled), (0, 0, 0));
    }
}

#[tokio::test]
async fn nothing_to_ask_costs_nothing() {
    let database = database().await;
    let (persons, pool) = store(settings(&database.url));
    persons.facts(&person("")).await.expect("an answer");
    persons.facts(&person("nul\0")).await.expect("an answer");
    assert_eq!(pool.stats().acquires, 0);
}

#[tokio::test]
async fn options_of_the_url_stay_beside_the_statement_timeout() {
    let database = database().await;
    let url = format!(
        "{}&options=-c%20work_mem%3D8MB%20-c%20statement_timeout%3D9",
        database.url
    );
    let (_, pool) = store(PoolSettings {
        statement_timeout: Duration::from_millis(4321),
        ..settings(&url)
    });
    ping(&pool).await.expect("the server answers");
    let of_pool = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'feature-flags'";
    assert_eq!(database.texts(of_pool).await, ["1"]);
    database.run(PEOPLE).await;
    // A view shows the settings of the connection that reads it.
    database
        .run("ALTER TABLE posthog_group RENAME TO hidden;
              CREATE VIEW posthog_group AS SELECT 7 AS team_id, 0 AS group_type_index, 'acme'::text AS group_key,
              jsonb_build_object('timeout', current_setting('statement_timeout'), 'memory', current_setting('work_mem')) AS group_properties")
        .await;
    let persons = PostgresPersons::new(Arc::clone(&pool), pool);
    let facts = persons.facts(&query("")).await.expect("the store answers");
    let shown = facts.groups[2].as_ref().expect("the view has it");
    assert_eq!(
        (&shown["timeout"], &shown["memory"]),
        (&"4321ms".into(), &"8MB".into())
    );
}

#[tokio::test]
async fn a_statement_over_its_time_is_query_canceled() {
    let database = database().await;
    database.run(PEOPLE).await;
    let (persons, pool) = store(PoolSettings {
        statement_timeout: Duration::from_millis(200),
        ..settings(&database.url)
    });
    persons.facts(&person("known")).await.expect("warm");
    let locker = lock(&database).await;
    let start = Instant::now();
    let failed = persons.facts(&person("known")).await;
    assert_eq!(failed, Err(GatherError::Timeout(TimeoutKind::QueryCanceled)));
    assert!(
        start.elapsed() < Duration::from_millis(600),
        "{:?}",
        start.elapsed()
    );
    locker.batch_execute("ROLLBACK").await.expect("unlocked");
    persons
        .facts(&person("known"))
        .await
        .expect("the connection is as good as before");
    assert_eq!(pool.stats().connections_created, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_pool_is_pool_timeout_and_a_crowded_one_refuses_at_once() {
    let database = database().await;
    database.run(PEOPLE).await;
    let (persons, pool) = store(PoolSettings {
        connections_max: 1,
        acquire_limit: Duration::from_millis(300),
        ..settings(&database.url)
    });
    persons.facts(&person("known")).await.expect("warm");
    let locker = lock(&database).await;
    let ask = || {
        let persons = Arc::clone(&persons);
        tokio::spawn(async move {
            let start = Instant::now();
            (persons.facts(&person("known")).await, start.elapsed())
        })
    };
    let first = ask();
    blocked(&database, 1).await;
    let waiting: Vec<_> = (0..5).map(|_| ask()).collect();
    while pool.stats().waiting < 5 {
        tokio::task::yield_now().await;
    }
    let timeout = Err(GatherError::Timeout(TimeoutKind::Pool));
    let (refused, took) = ask().await.expect("no panic");
    assert_eq!(refused, timeout);
    assert!(took < Duration::from_millis(100), "not after waiting: {took:?}");
    for waiter in waiting {
        let (answer, took) = waiter.await.expect("no panic");
        assert_eq!(answer, timeout);
        assert!((250..900).contains(&took.as_millis()), "{took:?}");
    }
    locker.batch_execute("ROLLBACK").await.expect("unlocked");
    assert!(
        first
            .await
            .expect("no panic")
            .0
            .expect("answered late")
            .person
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_future_leaves_no_busy_connection_and_stops_its_statement() {
    let database = database().await;
    database.run(PEOPLE).await;
    let (persons, pool) = store(PoolSettings {
        connections_max: 1,
        statement_timeout: Duration::from_secs(60),
        ..settings(&database.url)
    });
    persons.facts(&person("known")).await.expect("warm");
    for round in 1..=3 {
        let locker = lock(&database).await;
        let given_up = {
            let persons = Arc::clone(&persons);
            tokio::spawn(async move { persons.facts(&person("anon")).await })
        };
        blocked(&database, 1).await;
        given_up.abort();
        assert!(given_up.await.expect_err("dropped").is_cancelled());
        // The lock is still held, and the statement timeout far away: only the cancel can have ended the statement.
        let ended = tokio::time::timeout(Duration::from_secs(5), blocked(&database, 0)).await;
        ended.expect("the server was asked to stop");
        locker.batch_execute("ROLLBACK").await.expect("unlocked");
        let facts = persons.facts(&person("known")).await.expect("the store answers");
        let person = facts.person.expect("the person exists");
        assert_eq!(
            person.properties["plan"], "pro",
            "not the answer of somebody else"
        );
        let stats = pool.stats();
        assert_eq!((stats.canceled, stats.connections_created), (round, round + 1));
    }
}

#[tokio::test]
async fn minimum_connections_are_opened_without_being_asked_for() {
    let database = database().await;
    let (_, pool) = store(PoolSettings {
        connections_min: 2,
        ..settings(&database.url)
    });
    let start = Instant::now();
    while pool.stats().idle < 2 {
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", pool.stats());
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.stats().acquires, 0);
}

#[tokio::test]
async fn a_refused_login_is_permanent() {
    let database = database().await;
    let url = database.url.replace("posthog@", "nobody@");
    let (_, pool) = store(settings(&url));
    let start = Instant::now();
    let failed = ping(&pool).await.expect_err("no such role");
    assert_eq!(failed.class(), ErrorClass::Permanent, "{failed}");
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_connection_past_its_time_is_replaced() {
    let database = database().await;
    for (test_before_acquire, uses) in [(true, 1), (false, 2)] {
        let lifetime_max = Duration::from_secs(2);
        let (_, pool) = store(PoolSettings {
            lifetime_max,
            test_before_acquire,
            ..settings(&database.url)
        });
        for _ in 0..3 {
            ping(&pool).await.expect("the server answers");
        }
        assert_eq!(pool.stats().connections_created, 1);
        tokio::time::sleep(lifetime_max).await;
        // Without a test before, its age shows when it comes back.
        for _ in 0..uses {
            assert_eq!(pool.stats().connections_created, 1);
            ping(&pool).await.expect("the server answers");
        }
        assert_eq!(pool.stats().connections_created, 2);
    }
}

#[tokio::test]
async fn without_a_persons_database_its_pools_are_the_main_ones() {
    let database = database().await;
    let settings = settings(&database.url);
    let shared = pools(settings.clone());
    assert!(Arc::ptr_eq(&shared.persons_reader, &shared.non_persons_reader));
    assert!(Arc::ptr_eq(&shared.persons_writer, &shared.non_persons_writer));
    assert_eq!(shared.distinct().count(), 2);
    let separate = Pools::open(PoolsSettings {
        non_persons_reader: settings.clone(),
        non_persons_writer: settings.clone(),
        persons: Some((settings.clone(), settings)),
    })
    .expect("pools");
    let names: Vec<&str> = separate.distinct().map(|pool| pool.name()).collect();
    let all = [
        "non_persons_reader",
        "non_persons_writer",
        "persons_reader",
        "persons_writer",
    ];
    assert_eq!(names, all);
}
