//! The rules of `http.md` 13.6 and 15, on a clock that stands still until a test moves it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::FakeRelativeClock;

use super::{Limits, Verdict};
use crate::config::Config;

const ALICE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const BOB: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fn limits(variables: &[(&'static str, &'static str)]) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    let source: HashMap<&str, &str> = variables.iter().copied().collect();
    let config = Config::read(&source).unwrap();
    let clock = FakeRelativeClock::default();
    // Nothing may depend on what time it is when the process starts.
    clock.advance(Duration::from_secs(5));
    let limits = Limits::with_clock(&config.rate_limit, &config.definitions, &clock);
    (limits, clock)
}

/// Enforced, three at once, two a second.
fn by_address() -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    limits(&[
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", "3"),
        ("FLAGS_IP_REPLENISH_RATE", "2"),
    ])
}

/// How many of `tries` requests are let through without a word.
fn allowed(tries: usize, mut check: impl FnMut() -> Verdict) -> usize {
    (0..tries).filter(|_| check() == Verdict::Allowed).count()
}

fn client(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(number))
}

#[test]
fn a_key_starts_with_the_whole_burst_and_regains_the_rate() {
    let (limits, clock) = by_address();
    assert_eq!(allowed(10, || limits.ip.check(ALICE)), 3);
    assert_eq!(limits.ip.check(ALICE), Verdict::Refused);
    assert_eq!(
        allowed(10, || limits.ip.check(BOB)),
        3,
        "another key has its own bucket"
    );
    clock.advance(Duration::from_millis(499));
    assert_eq!(allowed(10, || limits.ip.check(ALICE)), 0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(allowed(10, || limits.ip.check(ALICE)), 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(allowed(10, || limits.ip.check(ALICE)), 2);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(
        allowed(10, || limits.ip.check(ALICE)),
        3,
        "never more than the burst"
    );
}

#[test]
fn disabled_limiters_hold_and_refuse_nothing() {
    let (limits, _) = limits(&[
        ("FLAGS_IP_BURST_SIZE", "1"),
        ("FLAGS_BUCKET_CAPACITY", "1"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
    ]);
    assert!(!limits.ip.is_enabled() && !limits.token.is_enabled());
    assert_eq!(allowed(5, || limits.ip.check(ALICE)), 5);
    assert_eq!(allowed(5, || limits.token.check("phc_a")), 5);
    assert_eq!(limits.entries().ip + limits.entries().token, 0);
}

#[test]
fn the_seeds_variable_alone_enforces_tokens_and_not_addresses() {
    let (limits, _) = limits(&[
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", "1"),
        ("FLAGS_BUCKET_CAPACITY", "1"),
    ]);
    for expected in [
        [Verdict::Allowed, Verdict::Allowed],
        [Verdict::Tolerated, Verdict::Refused],
    ] {
        assert_eq!([limits.ip.check(ALICE), limits.token.check("phc_a")], expected);
    }
}

#[test]
fn defaults_are_the_seeds() {
    let (limits, clock) = limits(&[
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
    ]);
    assert_eq!(allowed(2000, || limits.ip.check(ALICE)), 1000);
    assert_eq!(allowed(2000, || limits.token.check("phc_a")), 500);
    assert_eq!(allowed(2000, || limits.definitions.check(7, false)), 600);
    assert_eq!(allowed(9000, || limits.definitions.check(7, true)), 6000);
    clock.advance(Duration::from_secs(1));
    assert_eq!(allowed(2000, || limits.ip.check(ALICE)), 50);
    assert_eq!(allowed(2000, || limits.token.check("phc_a")), 10);
    assert_eq!(allowed(2000, || limits.definitions.check(7, false)), 10);
    assert_eq!(limits.ip.check(ALICE), Verdict::Tolerated);
    assert_eq!(limits.token.check("phc_a"), Verdict::Tolerated);
    assert_eq!(limits.definitions.check(7, false), Verdict::Refused);
}

#[test]
fn a_request_without_a_token_is_its_client_s() {
    let (limits, _) = limits(&[
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_BUCKET_CAPACITY", "2"),
    ]);
    assert_eq!(allowed(5, || limits.token.check_address(ALICE)), 2);
    assert_eq!(allowed(5, || limits.token.check_address(BOB)), 2);
    assert_eq!(
        allowed(5, || limits.token.check(&ALICE.to_string())),
        2,
        "no token stands for a client"
    );
    // Long tokens cost no more than short ones and are told apart.
    let long = |last: char| format!("{}{last}", "x".repeat(100_000));
    assert_eq!(allowed(5, || limits.token.check(&long('a'))), 2);
    assert_eq!(allowed(5, || limits.token.check(&long('b'))), 2);
}

#[test]
fn a_token_can_have_its_own_rate() {
    let (limits, clock) = limits(&[
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_BUCKET_CAPACITY", "2"),
        (
            "FLAGS_TOKEN_RATE_LIMIT_OVERRIDES",
            r#"{"phc_large": "60/minute", "phc_small": "1/hour"}"#,
        ),
    ]);
    assert_eq!(allowed(100, || limits.token.check("phc_large")), 60);
    assert_eq!(allowed(100, || limits.token.check("phc_small")), 1);
    assert_eq!(allowed(100, || limits.token.check("phc_other")), 2);
    clock.advance(Duration::from_secs(10));
    assert_eq!(allowed(100, || limits.token.check("phc_large")), 10);
    assert_eq!(allowed(100, || limits.token.check("phc_small")), 0);
    assert_eq!(
        limits.entries().token,
        1,
        "own rates take no place among the others"
    );
}

#[test]
fn requests_above_the_threshold_are_warned() {
    let (limits, clock) = limits(&[
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", "10"),
        ("FLAGS_IP_REPLENISH_RATE", "1"),
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_TOKEN_RATE_LIMIT_OVERRIDES", r#"{"phc_a": "4/minute"}"#),
        ("FLAGS_WARN_CAPACITY_RATIO", "0.8"),
    ]);
    let verdicts = |tries| (0..tries).map(|_| limits.ip.check(ALICE)).collect::<Vec<_>>();
    let first = verdicts(12);
    assert_eq!(first[..8], [Verdict::Allowed; 8]);
    assert_eq!(first[8..10], [Verdict::Warned; 2]);
    assert_eq!(first[10..], [Verdict::Refused; 2]);
    // At the limit every answer says so, not just some.
    for _ in 0..3 {
        clock.advance(Duration::from_secs(1));
        assert_eq!(verdicts(2), [Verdict::Warned, Verdict::Refused]);
    }
    clock.advance(Duration::from_secs(3));
    assert_eq!(verdicts(2), [Verdict::Allowed, Verdict::Warned]);
    // A rate of its own has a threshold of its own: 0.8 of 4 is 3.
    let token: Vec<Verdict> = (0..5).map(|_| limits.token.check("phc_a")).collect();
    assert_eq!(token[..3], [Verdict::Allowed; 3]);
    assert_eq!(token[3..], [Verdict::Warned, Verdict::Tolerated]);
    assert!(limits.ip.warns() && limits.token.warns());
    assert!(!by_address().0.ip.warns());
}

#[test]
fn teams_have_their_rates() {
    let (limits, clock) = limits(&[
        ("FLAG_DEFINITIONS_DEFAULT_RATE_PER_MINUTE", "5"),
        (
            "FLAG_DEFINITIONS_RATE_LIMITS",
            r#"{"7": "20/second", "8": "24/day", "9": "x"}"#,
        ),
        ("LOCAL_EVAL_RATE_LIMITS", r#"{"7": "1/day", "6": "1/day"}"#),
    ]);
    let full = |team| allowed(100, || limits.definitions.check(team, false));
    assert_eq!([full(6), full(7), full(8), full(9)], [5, 20, 24, 5]);
    clock.advance(Duration::from_secs(1));
    assert_eq!([full(6), full(7), full(8)], [0, 20, 0]);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(full(8), 1, "24 a day is one an hour");
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(full(8), 24);
}

#[test]
fn the_later_name_serves_where_the_seed_s_is_empty() {
    let (limits, _) = limits(&[("LOCAL_EVAL_RATE_LIMITS", r#"{"7": "1/day"}"#)]);
    assert_eq!(allowed(100, || limits.definitions.check(7, false)), 1);
}

#[test]
fn conditional_requests_have_their_own_bucket() {
    let (limits, _) = limits(&[
        ("FLAG_DEFINITIONS_DEFAULT_RATE_PER_MINUTE", "2"),
        ("FLAG_DEFINITIONS_CONDITIONAL_RATE_PER_MINUTE", "10"),
        (
            "FLAG_DEFINITIONS_RATE_LIMITS",
            r#"{"7": "30/minute", "8": "4/minute", "9": "30/minute", "10": "1/minute"}"#,
        ),
        ("LOCAL_EVAL_CONDITIONAL_RATE_LIMITS", r#"{"9": "3/hour"}"#),
    ]);
    let asked = |team, conditional| allowed(100, || limits.definitions.check(team, conditional));
    assert_eq!([asked(6, true), asked(6, false)], [10, 2]);
    // A limit above the larger bucket holds for both, one between the two for its own; an own one is exact.
    assert_eq!([asked(7, true), asked(7, false)], [30, 30]);
    assert_eq!([asked(8, true), asked(8, false)], [10, 4]);
    assert_eq!([asked(9, true), asked(9, false)], [3, 30]);
    // Half of the usual rate is half of both: sending an ETag is no way around it.
    assert_eq!([asked(10, true), asked(10, false)], [5, 1]);
}

#[test]
fn teams_of_the_allow_list_are_never_limited() {
    let (limits, _) = limits(&[
        ("FLAG_DEFINITIONS_DEFAULT_RATE_PER_MINUTE", "1"),
        ("RATE_LIMITING_ALLOW_LIST_TEAMS", "7,20:29"),
    ]);
    let asked = |team| allowed(50, || limits.definitions.check(team, false));
    assert_eq!([asked(7), asked(25), asked(8)], [50, 50, 1]);
    assert_eq!(limits.entries().definitions, 1);
}

#[test]
fn definitions_can_be_log_only() {
    let (limits, _) = limits(&[
        ("FLAG_DEFINITIONS_DEFAULT_RATE_PER_MINUTE", "1"),
        ("FLAG_DEFINITIONS_RATE_LIMIT_LOG_ONLY", "true"),
    ]);
    assert_eq!(limits.definitions.check(7, false), Verdict::Allowed);
    assert_eq!(limits.definitions.check(7, false), Verdict::Tolerated);
}

#[test]
fn cleaning_forgets_full_buckets_and_no_others() {
    let (limits, clock) = by_address();
    for number in 0..1000 {
        assert_eq!(limits.ip.check(client(number)), Verdict::Allowed);
    }
    assert_eq!(allowed(3, || limits.ip.check(ALICE)), 3);
    limits.clean();
    assert_eq!(limits.entries().ip, 1001, "nobody has regained anything");
    clock.advance(Duration::from_millis(1100));
    limits.clean();
    assert_eq!(limits.entries().ip, 1, "one request each is regained");
    assert_eq!(
        allowed(5, || limits.ip.check(ALICE)),
        2,
        "who used three has not lost two"
    );
    clock.advance(Duration::from_secs(10));
    limits.clean();
    assert_eq!(limits.entries().ip, 0);
    assert_eq!(allowed(5, || limits.ip.check(ALICE)), 3);
}

#[test]
fn at_the_bound_new_keys_share_buckets_and_known_ones_do_not() {
    let (limits, clock) = limits(&[
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", "3"),
        ("FLAGS_IP_REPLENISH_RATE", "2"),
        ("RATE_LIMITER_ENTRIES_MAX", "100"),
    ]);
    for number in 0..100 {
        assert_eq!(limits.ip.check(client(number)), Verdict::Allowed);
    }
    // 1,024 shared buckets of three requests.
    let strangers = (0..50_000)
        .filter(|number| limits.ip.check(client(1000 + number)) == Verdict::Allowed)
        .count();
    assert_eq!(strangers, 3 * 1024);
    assert_eq!(limits.entries().ip, 100);
    assert_eq!(allowed(5, || limits.ip.check(client(7))), 2);
    // Whoever cleans has been told, once.
    assert!(is_told(&limits) && !is_told(&limits));
    clock.advance(Duration::from_secs(10));
    limits.clean();
    assert_eq!(allowed(5, || limits.ip.check(client(5000))), 3);
    assert_eq!(limits.entries().ip, 1);
}

fn is_told(limits: &Limits<FakeRelativeClock>) -> bool {
    let told = std::pin::pin!(limits.full.notified());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    told.poll(&mut context).is_ready()
}

#[test]
fn many_threads_get_the_burst_and_what_is_regained_and_no_more() {
    const THREADS: usize = 8;
    let (limits, clock) = limits(&[
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", "1000"),
        ("FLAGS_IP_REPLENISH_RATE", "100"),
    ]);
    let round = || {
        let admitted = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mine = allowed(500, || limits.ip.check(ALICE));
                    admitted.fetch_add(mine as u32, Ordering::Relaxed);
                });
            }
        });
        admitted.into_inner()
    };
    assert_eq!(round(), 1000);
    clock.advance(Duration::from_millis(2505));
    assert_eq!(round(), 250);
}

#[test]
fn no_charge_is_lost_while_buckets_are_removed_and_the_index_grows() {
    const THREADS: usize = 4;
    const ROUNDS: u32 = 300;
    let (limits, clock) = limits(&[
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_IP_BURST_SIZE", "20"),
        ("FLAGS_IP_REPLENISH_RATE", "1"),
    ]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let cleaner = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                limits.clean();
            }
        });
        for round in 0..ROUNDS {
            // Every bucket is full again, so every one may be removed at any moment of what follows.
            clock.advance(Duration::from_secs(60));
            let admitted = AtomicU32::new(0);
            std::thread::scope(|scope| {
                for thread in 0..THREADS as u32 {
                    let (limits, admitted) = (&limits, &admitted);
                    scope.spawn(move || {
                        for step in 0..40 {
                            // Other keys make the index grow and shrink meanwhile.
                            let other = 1 + (round % 7) * 1000 + thread * 100 + step;
                            assert_eq!(limits.ip.check(client(other)), Verdict::Allowed);
                            if limits.ip.check(ALICE) == Verdict::Allowed {
                                admitted.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            assert_eq!(admitted.into_inner(), 20, "round {round}");
        }
        done.store(true, Ordering::Relaxed);
        cleaner.join().unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_cleans_when_it_is_told_and_says_what_was_let_through() {
    let (limits, clock) = limits(&[
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_BURST_SIZE", "1"),
        ("RATE_LIMITER_ENTRIES_MAX", "2"),
    ]);
    let limits = Arc::new(limits);
    for _ in 0..4 {
        let _ = limits.ip.check(ALICE);
    }
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let say = move |line: &str| drop(sender.send(line.to_owned()));
    let every = Duration::from_millis(20);
    let task = tokio::spawn(Arc::clone(&limits).keep_clean(every, say));
    let first = lines.recv().await.unwrap();
    assert!(
        first.starts_with("ip_rate_limited: 3 requests over the limit were answered"),
        "{first}"
    );
    // No place for the third key: it shares a bucket, which is said, and idle keys are removed.
    let _ = (limits.ip.check(client(1)), limits.ip.check(client(2)));
    let second = lines.recv().await.unwrap();
    assert!(
        second.contains("RATE_LIMITER_ENTRIES_MAX is reached, 1 requests"),
        "{second}"
    );
    clock.advance(Duration::from_secs(3600));
    while limits.entries().ip > 0 {
        tokio::task::yield_now().await;
    }
    task.abort();
}
