//! Servers that die, hang and come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::context::{ContinuityReadFrom, FactsQuery, GatherError, PersonSource, TimeoutKind};
use feature_flags::resilience::BreakerState;
use feature_flags::store::postgres::{Pool, PoolSettings, PostgresPersons, ping};

use crate::facts::query;
use crate::server::{PEOPLE, Server, pools, settings};

struct Outage {
    server: Server,
    persons: Arc<PostgresPersons>,
    pool: Arc<Pool>,
}

fn person() -> FactsQuery {
    FactsQuery {
        groups: Vec::new(),
        ..query("known")
    }
}

async fn outage(change: impl FnOnce(&mut PoolSettings)) -> Outage {
    let server = tokio::task::spawn_blocking(|| Server::start(&[]))
        .await
        .expect("a server");
    let database = server.database().await;
    database.run(PEOPLE).await;
    let mut settings = settings(&database.url);
    settings.acquire_limit = Duration::from_secs(1);
    settings.statement_timeout = Duration::from_millis(500);
    change(&mut settings);
    let pools = pools(settings);
    let pool = Arc::clone(&pools.persons_reader);
    let persons = Arc::new(PostgresPersons::new(pools.persons_reader, pools.persons_writer));
    persons.facts(&person()).await.expect("warm");
    Outage {
        server,
        persons,
        pool,
    }
}

/// Asks until there is an answer, for at most as long.
async fn recovered(outage: &Outage, limit: Duration) {
    let start = Instant::now();
    while let Err(error) = outage.persons.facts(&person()).await {
        assert!(start.elapsed() < limit, "{error} after {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_server_fails_at_once_and_recovery_is_noticed() {
    for test_before_acquire in [false, true] {
        let outage = outage(|settings| settings.test_before_acquire = test_before_acquire).await;
        outage.server.kill();
        for _ in 0..20 {
            let start = Instant::now();
            let failed = outage
                .persons
                .facts(&person())
                .await
                .expect_err("nobody is there");
            assert!(
                matches!(failed, GatherError::Unavailable(_) | GatherError::Refused(_)),
                "{failed:?}"
            );
            assert!(
                start.elapsed() < Duration::from_millis(300),
                "{:?}",
                start.elapsed()
            );
        }
        assert_ne!(outage.pool.breaker_state(), BreakerState::Closed);
        let start = Instant::now();
        let failed = outage.persons.facts(&person()).await.expect_err("not asked");
        assert!(
            matches!(failed, GatherError::Refused(_)) && !failed.is_retryable(),
            "{failed:?}"
        );
        assert!(start.elapsed() < Duration::from_millis(20));
        outage.server.resume_from_stop();
        // The breaker probes after half a second, and doubles that for each probe that failed.
        recovered(&outage, Duration::from_secs(6)).await;
        ping(&outage.pool).await.expect("for good");
        assert_eq!(outage.pool.breaker_state(), BreakerState::Closed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_between_requests_costs_at_most_broken_connections() {
    let outage = outage(|settings| settings.test_before_acquire = true).await;
    outage.server.kill();
    outage.server.resume_from_stop();
    outage
        .persons
        .facts(&person())
        .await
        .expect("the test found the dead connection, and a new one was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_no_more_than_the_limits() {
    let outage = outage(|_| {}).await;
    outage.server.signal("-STOP");
    let start = Instant::now();
    let failed = outage.persons.facts(&person()).await;
    // Statement timeout and the margin for the way; the server itself cannot end it.
    assert_eq!(failed, Err(GatherError::Timeout(TimeoutKind::Io)));
    assert!(
        (900..2000).contains(&start.elapsed().as_millis()),
        "{:?}",
        start.elapsed()
    );
    let start = Instant::now();
    let failed = outage
        .persons
        .read_continuity(7, &["known"], ContinuityReadFrom::Reader)
        .await;
    // A new connection, which nobody accepts; the timeout of either is met first.
    assert!(matches!(failed, Err(GatherError::Timeout(_))), "{failed:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    outage.server.signal("-CONT");
    recovered(&outage, Duration::from_secs(6)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_of_a_server_that_hangs_are_bounded() {
    let outage = outage(|settings| settings.test_before_acquire = true).await;
    outage.server.signal("-STOP");
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let persons = Arc::clone(&outage.persons);
        tasks.spawn(async move { persons.facts(&person()).await });
    }
    let mut pool_timeouts = 0;
    while let Some(answer) = tasks.join_next().await {
        match answer.expect("no panic") {
            Err(GatherError::Timeout(TimeoutKind::Pool)) => pool_timeouts += 1,
            Err(GatherError::Timeout(_) | GatherError::Refused(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(pool_timeouts >= 180, "most are refused at once: {pool_timeouts}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(outage.pool.stats().size <= 4);
    outage.server.signal("-CONT");
    recovered(&outage, Duration::from_secs(6)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_at_start_is_no_reason_not_to_open_pools() {
    let outage = outage(|_| {}).await;
    outage.server.kill();
    let url = outage.server.url("template");
    let late = pools(settings(&url));
    assert!(ping(&late.persons_reader).await.is_err());
    outage.server.resume_from_stop();
    ping(&late.persons_reader).await.expect("asked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_give_up_on_a_server_that_hangs_open_the_breaker() {
    let outage = outage(|_| {}).await;
    outage.server.signal("-STOP");
    for _ in 0..10 {
        // Sooner than any limit of the pool.
        let asked = tokio::time::timeout(Duration::from_millis(700), outage.persons.facts(&person())).await;
        // A connection that somebody asked for before may fail meanwhile, which is a failure too.
        let answer = asked.unwrap_or(Err(GatherError::Timeout(TimeoutKind::PersonsDeadline)));
        assert!(
            matches!(answer, Err(GatherError::Timeout(_) | GatherError::Refused(_))),
            "{answer:?}"
        );
        if outage.pool.breaker_state() != BreakerState::Closed {
            break;
        }
    }
    assert_eq!(outage.pool.breaker_state(), BreakerState::Open);
    outage.server.signal("-CONT");
    recovered(&outage, Duration::from_secs(6)).await;
}
