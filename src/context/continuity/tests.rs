use std::sync::Mutex;

use super::*;
use crate::context::{FactsQuery, StoredFacts};

/// Fails a given number of times at each step, and remembers what it was asked.
#[derive(Default)]
struct Scripted {
    needed: bool,
    error: Option<GatherError>,
    check_failures: Mutex<u32>,
    write_failures: Mutex<u32>,
    read_failures: Mutex<u32>,
    calls: Mutex<Vec<String>>,
}

impl Scripted {
    fn answer<T: Send + 'static>(
        &self,
        call: String,
        failures: &Mutex<u32>,
        value: T,
    ) -> BoxFuture<'_, Result<T, GatherError>> {
        self.calls.lock().expect("calls").push(call);
        let mut left = failures.lock().expect("failures");
        let result = if *left == 0 {
            Ok(value)
        } else {
            Err(self
                .error
                .clone()
                .unwrap_or(GatherError::Transient(String::new())))
        };
        *left = left.saturating_sub(1);
        Box::pin(std::future::ready(result))
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("calls").clone()
    }
}

impl PersonSource for Scripted {
    fn facts<'a>(&'a self, _: &'a FactsQuery) -> BoxFuture<'a, Result<StoredFacts, GatherError>> {
        Box::pin(std::future::ready(Err(GatherError::Database(
            "not part of continuity".to_owned(),
        ))))
    }

    fn continuity_write_needed<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        flag_keys: &'a [&'a str],
    ) -> BoxFuture<'a, Result<bool, GatherError>> {
        self.answer(
            format!("check {team_id} {distinct_ids:?} {flag_keys:?}"),
            &self.check_failures,
            self.needed,
        )
    }

    fn write_continuity<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        flag_keys: &'a [&'a str],
        hash_key: &'a str,
    ) -> BoxFuture<'a, Result<(), GatherError>> {
        self.answer(
            format!("write {team_id} {distinct_ids:?} {flag_keys:?} {hash_key}"),
            &self.write_failures,
            (),
        )
    }

    fn read_continuity<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        from: ContinuityReadFrom,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, GatherError>> {
        let rows = vec![("flag".to_owned(), "hash".to_owned())];
        self.answer(
            format!("read {team_id} {distinct_ids:?} {from:?}"),
            &self.read_failures,
            rows,
        )
    }
}

/// Waits for nothing and remembers the ceilings.
#[derive(Default)]
struct Recorded(Mutex<Vec<u128>>);

impl Pause for Recorded {
    fn pause(&self, ceiling: Duration) -> BoxFuture<'_, ()> {
        self.0.lock().expect("ceilings").push(ceiling.as_millis());
        Box::pin(std::future::ready(()))
    }
}

impl Recorded {
    fn ceilings(&self) -> Vec<u128> {
        self.0.lock().expect("ceilings").clone()
    }
}

fn query(anon_distinct_id: Option<&str>, writes_allowed: bool) -> ContinuityQuery<'_> {
    ContinuityQuery {
        team_id: 3,
        distinct_id: "known",
        anon_distinct_id,
        flag_keys: &["steady"],
        writes_allowed,
    }
}

async fn gather(
    source: &Scripted,
    query: ContinuityQuery<'_>,
    pause: &Recorded,
) -> Result<Vec<(String, String)>, GatherError> {
    let budget = &RetryBudget::default();
    gather_continuity(source, query, Retries { pause, budget }).await
}

#[tokio::test]
async fn without_anonymous_id_it_only_reads() {
    let source = Scripted {
        needed: true,
        ..Scripted::default()
    };
    let rows = gather(&source, query(None, true), &Recorded::default()).await;
    assert_eq!(rows.expect("rows").len(), 1);
    assert_eq!(source.calls(), [r#"read 3 ["known"] Reader"#]);
}

#[tokio::test]
async fn a_needed_write_is_followed_by_a_read_from_the_writer() {
    let source = Scripted {
        needed: true,
        ..Scripted::default()
    };
    gather(&source, query(Some("anon"), true), &Recorded::default())
        .await
        .expect("rows");
    let expected = [
        r#"check 3 ["known", "anon"] ["steady"]"#,
        r#"write 3 ["known", "anon"] ["steady"] anon"#,
        r#"read 3 ["known", "anon"] Writer"#,
    ];
    assert_eq!(source.calls(), expected);
}

#[tokio::test]
async fn nothing_to_write_reads_from_the_reader() {
    let source = Scripted::default();
    gather(&source, query(Some("anon"), true), &Recorded::default())
        .await
        .expect("rows");
    assert_eq!(
        source.calls(),
        [
            r#"check 3 ["known", "anon"] ["steady"]"#,
            r#"read 3 ["known", "anon"] Reader"#
        ]
    );
}

#[tokio::test]
async fn read_only_mode_neither_checks_nor_writes() {
    let source = Scripted {
        needed: true,
        ..Scripted::default()
    };
    gather(&source, query(Some("anon"), false), &Recorded::default())
        .await
        .expect("rows");
    assert_eq!(source.calls(), [r#"read 3 ["known", "anon"] Reader"#]);
}

#[tokio::test]
async fn reads_are_tried_four_times() {
    let pause = Recorded::default();
    let source = Scripted {
        read_failures: Mutex::new(3),
        ..Scripted::default()
    };
    gather(&source, query(None, true), &pause)
        .await
        .expect("the fourth attempt succeeds");
    assert_eq!(pause.ceilings(), [50, 300, 300]);

    let source = Scripted {
        read_failures: Mutex::new(4),
        ..Scripted::default()
    };
    let failed = gather(&source, query(None, true), &Recorded::default()).await;
    assert_eq!(failed, Err(GatherError::Transient(String::new())));
    assert_eq!(source.calls().len(), 4);
}

#[tokio::test]
async fn checks_and_writes_are_tried_three_times() {
    let pause = Recorded::default();
    let source = Scripted {
        needed: true,
        check_failures: Mutex::new(2),
        write_failures: Mutex::new(2),
        ..Scripted::default()
    };
    gather(&source, query(Some("anon"), true), &pause)
        .await
        .expect("third attempts succeed");
    assert_eq!(pause.ceilings(), [100, 300, 100, 300]);

    let source = Scripted {
        needed: true,
        write_failures: Mutex::new(3),
        ..Scripted::default()
    };
    let failed = gather(&source, query(Some("anon"), true), &Recorded::default()).await;
    assert_eq!(failed, Err(GatherError::Transient(String::new())));
    assert!(source.calls().iter().all(|call| !call.starts_with("read")));
}

#[tokio::test]
async fn what_cannot_pass_is_tried_once() {
    let timeout = GatherError::Timeout(crate::context::TimeoutKind::QueryCanceled);
    for error in [
        timeout,
        GatherError::Database(String::new()),
        GatherError::Refused(String::new()),
    ] {
        let source = Scripted {
            error: Some(error.clone()),
            read_failures: Mutex::new(1),
            ..Scripted::default()
        };
        let failed = gather(&source, query(None, true), &Recorded::default()).await;
        assert_eq!(failed, Err(error));
        assert_eq!(source.calls().len(), 1);
    }
}

#[tokio::test]
async fn an_empty_budget_ends_retries() {
    let budget = RetryBudget::default();
    while budget.spend() {}
    let source = Scripted {
        read_failures: Mutex::new(1),
        ..Scripted::default()
    };
    let pause = &Recorded::default();
    let retries = Retries {
        pause,
        budget: &budget,
    };
    let failed = gather_continuity(&source, query(None, true), retries).await;
    assert_eq!(failed, Err(GatherError::Transient(String::new())));
    assert_eq!((source.calls().len(), pause.ceilings().len()), (1, 0));
}

#[test]
fn random_shares_are_shares() {
    let shares: Vec<f64> = (0..1000).map(|_| random_share()).collect();
    assert!(shares.iter().all(|share| (0.0..1.0).contains(share)));
    assert!(shares.iter().any(|share| *share < 0.2) && shares.iter().any(|share| *share > 0.8));
}
