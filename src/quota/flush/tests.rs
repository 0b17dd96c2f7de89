//! Against a store that fails in every way, while requests record.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::hypercache::BoxFuture;
use crate::quota::{Library, RequestType};

/// What a store does with one attempt.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Applied,
    Refused,
    /// Nothing is applied, and that is known.
    NotApplied,
    /// Applied, but the reply is lost.
    ReplyLost,
    /// Not applied, and the caller cannot know.
    RequestLost,
    /// As where a batch must not be repeated.
    Gone,
    /// No reply ever; the caller has to give up.
    Silent,
}

/// A store with markers, as the real one has them.
#[derive(Default)]
struct Store {
    counts: Mutex<HashMap<UsageKey, u64>>,
    fields: Mutex<Vec<Bucket>>,
    seen: Mutex<HashSet<String>>,
    attempts: Mutex<Vec<(String, bool)>>,
    /// The next attempts; afterwards all are applied.
    fates: Mutex<VecDeque<Fate>>,
}

impl Store {
    fn with(fates: &[Fate]) -> Arc<Self> {
        let store = Self::default();
        store.fates.lock().unwrap().extend(fates);
        Arc::new(store)
    }

    fn apply_once(&self, batch: &Batch) {
        if self.seen.lock().unwrap().insert(batch.id.clone()) {
            let mut counts = self.counts.lock().unwrap();
            for increment in &batch.increments {
                *counts.entry(increment.key).or_default() += increment.count;
                self.fields.lock().unwrap().push(increment.bucket);
            }
        }
    }

    fn sum(&self) -> u64 {
        self.counts.lock().unwrap().values().sum()
    }
}

impl UsageSink for Store {
    fn apply<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Applied, ApplyError>> {
        Box::pin(async move {
            self.attempts
                .lock()
                .unwrap()
                .push((batch.id.clone(), batch.in_doubt));
            let fate = self.fates.lock().unwrap().pop_front();
            let detail = || "as told".to_owned();
            match fate.unwrap_or(Fate::Applied) {
                Fate::Applied => {
                    self.apply_once(batch);
                    Ok(Applied::default())
                }
                Fate::Refused => Ok(Applied { refused: vec![0] }),
                Fate::NotApplied => Err(ApplyError::NotApplied(detail())),
                Fate::ReplyLost => {
                    self.apply_once(batch);
                    Err(ApplyError::InDoubt(detail()))
                }
                Fate::RequestLost => Err(ApplyError::InDoubt(detail())),
                Fate::Gone => Err(ApplyError::Lost(detail())),
                Fate::Silent => {
                    self.apply_once(batch);
                    std::future::pending().await
                }
            }
        })
    }
}

fn quiet() -> Say {
    Arc::new(|_| {})
}

fn record(quota: &Quota, team_id: i32, times: u64) {
    for _ in 0..times {
        quota.record(
            RequestType::Decide,
            team_id,
            Library::Js,
            (present().0 * 120).cast_signed(),
        );
    }
}

fn flusher(quota: &Arc<Quota>, store: &Arc<Store>, commands: usize) -> Flusher {
    Flusher::new(Arc::clone(quota), Arc::clone(store) as _, commands, quiet())
}

#[tokio::test]
async fn a_lost_reply_neither_loses_nor_doubles() {
    let quota = Arc::new(Quota::new(100, true));
    let fates = [
        Fate::RequestLost,
        Fate::ReplyLost,
        Fate::NotApplied,
        Fate::ReplyLost,
    ];
    let store = Store::with(&fates);
    let mut flusher = flusher(&quota, &store, 4);
    for team_id in 1..=5 {
        record(&quota, team_id, 10);
    }
    for _ in fates {
        assert!(!flusher.flush().await && flusher.is_failing());
        record(&quota, 1, 1);
    }
    assert!(flusher.flush().await && !flusher.is_failing());
    assert_eq!(store.sum(), 54);
    let attempts = store.attempts.lock().unwrap().clone();
    // The first batch was tried five times, under one name; what was in doubt stayed so.
    assert!(attempts[..5].iter().all(|(id, _)| *id == attempts[0].0));
    let doubt: Vec<bool> = attempts[..6].iter().map(|(_, in_doubt)| *in_doubt).collect();
    assert_eq!(doubt, [false, true, true, true, true, false]);
    let ids: HashSet<&String> = attempts[4..].iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), attempts.len() - 4, "names are used once");
    assert_eq!(flusher.end(), UsageLeft::default());
}

#[tokio::test]
async fn what_must_not_be_repeated_is_not() {
    let quota = Arc::new(Quota::new(100, true));
    let store = Store::with(&[Fate::Gone]);
    let mut flusher = flusher(&quota, &store, 200);
    record(&quota, 1, 7);
    assert!(!flusher.flush().await);
    record(&quota, 1, 2);
    assert!(flusher.flush().await);
    assert_eq!(store.sum(), 2);
    assert_eq!(flusher.end(), UsageLeft::default());
}

#[tokio::test]
async fn refused_counts_do_not_stop_the_others() {
    let quota = Arc::new(Quota::new(100, true));
    let store = Store::with(&[Fate::Refused]);
    let mut flusher = flusher(&quota, &store, 2);
    record(&quota, 1, 7);
    record(&quota, 2, 7);
    assert!(flusher.flush().await);
    assert_eq!(store.sum(), 7);
}

#[tokio::test]
async fn a_flush_that_is_dropped_leaves_its_batch_in_doubt() {
    let quota = Arc::new(Quota::new(100, true));
    let store = Store::with(&[Fate::Silent, Fate::RequestLost]);
    let mut flusher = flusher(&quota, &store, 200);
    record(&quota, 1, 7);
    {
        let mut flush = Box::pin(flusher.flush());
        while store.attempts.lock().unwrap().is_empty() {
            let moment = std::time::Duration::from_millis(1);
            assert!(tokio::time::timeout(moment, &mut flush).await.is_err());
        }
    }
    assert!(!flusher.flush().await);
    assert!(store.attempts.lock().unwrap()[1].1);
    record(&quota, 1, 3);
    let left = flusher.end();
    assert_eq!((left.dropped, left.uncertain, store.sum()), (3, 7, 7));
}

#[tokio::test]
async fn what_is_tried_again_goes_to_the_present() {
    let quota = Arc::new(Quota::new(100, true));
    let store = Store::with(&[Fate::NotApplied]);
    let mut flusher = flusher(&quota, &store, 200);
    let before = Bucket(present().0 - 1);
    quota.record(
        RequestType::Decide,
        1,
        Library::Js,
        (before.0 * 120).cast_signed(),
    );
    assert!(!flusher.flush().await);
    assert!(flusher.flush().await);
    assert!(store.fields.lock().unwrap().iter().all(|field| *field > before));
}

#[tokio::test]
async fn keys_beyond_the_bound_are_dropped_and_known_ones_are_not() {
    let quota = Arc::new(Quota::new(10, true));
    let store = Store::with(&[]);
    let mut flusher = flusher(&quota, &store, 200);
    for team_id in 1..=50 {
        record(&quota, team_id, 1);
    }
    for team_id in 1..=50 {
        record(&quota, team_id, 1);
    }
    assert_eq!(quota.usage.waiting(), (10, 20));
    assert!(flusher.flush().await);
    assert_eq!(store.sum(), 20);
    // Idle counters make room: one look finds that they are, the next records find it.
    assert!(flusher.flush().await);
    for team_id in 51..=60 {
        record(&quota, team_id, 1);
    }
    assert_eq!(quota.usage.waiting(), (10, 10));
}

#[tokio::test]
async fn nothing_is_counted_under_skip_writes() {
    let quota = Arc::new(Quota::new(10, false));
    record(&quota, 1, 5);
    assert_eq!(quota.usage.waiting(), (0, 0));
}

#[test]
fn every_record_is_counted_once_whatever_the_flusher_does_meanwhile() {
    const THREADS: u64 = 8;
    const RECORDS: u64 = 300_000;
    const TEAMS: u64 = 40;
    // Crowded from the start, so that counters are given up whenever a look finds them empty.
    let quota = Arc::new(Quota::new(TEAMS as usize + 10, true));
    let store = Store::with(&[]);
    let done = Arc::new(AtomicBool::new(false));
    let flushing = {
        let (quota, store, done) = (Arc::clone(&quota), Arc::clone(&store), Arc::clone(&done));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut flusher = flusher(&quota, &store, 6);
                let mut random = 1_u64;
                let mut flushes = 0_u64;
                while !(done.load(Ordering::Acquire) && flusher.flush().await) {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let fate = match random >> 61 {
                        0 => Fate::NotApplied,
                        1 => Fate::ReplyLost,
                        2 => Fate::RequestLost,
                        _ => Fate::Applied,
                    };
                    store.fates.lock().unwrap().push_back(fate);
                    flusher.flush().await;
                    flushes += 1;
                }
                assert_eq!(flusher.end(), UsageLeft::default());
                flushes
            })
        })
    };
    let recording: Vec<_> = (0..THREADS)
        .map(|thread| {
            let quota = Arc::clone(&quota);
            std::thread::spawn(move || {
                let now = (present().0 * 120).cast_signed();
                for record in 0..RECORDS {
                    // Three buckets, and teams that come and go.
                    let team = (record / 50 + thread) % TEAMS;
                    let seconds = now + 120 * (record % 3).cast_signed() - 120;
                    quota.record(RequestType::Decide, team as i32, Library::Go, seconds);
                }
            })
        })
        .collect();
    for thread in recording {
        thread.join().unwrap();
    }
    done.store(true, Ordering::Release);
    assert!(flushing.join().unwrap() > 0);
    assert_eq!(store.sum(), THREADS * RECORDS);
}

/// Values by name and labels.
#[derive(Default)]
struct Recorded(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Recorded {
    fn cell(&self, key: &metrics::Key) -> Arc<AtomicU64> {
        let labels = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()));
        let name = format!("{}{{{}}}", key.name(), labels.collect::<Vec<_>>().join(","));
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    /// Of a counter, or of a gauge that holds a whole number.
    fn counter(&self, name: &str) -> u64 {
        self.0.lock().unwrap()[name].load(Ordering::Relaxed)
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.counter(name))
    }
}

impl metrics::Recorder for Recorded {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[tokio::test]
async fn every_request_is_in_one_metric_or_another() {
    let recorded = Recorded::default();
    let fates = [
        Fate::NotApplied,
        Fate::Gone,
        Fate::Refused,
        Fate::Applied,
        Fate::RequestLost,
    ];
    let store = Store::with(&fates);
    let (quota, mut flusher) = metrics::with_local_recorder(&recorded, || {
        let quota = Arc::new(Quota::new(5, true));
        let flusher = flusher(&quota, &store, 2);
        (quota, flusher)
    });
    for team_id in 1..=6 {
        record(&quota, team_id, 10);
    }
    let unflushed = |cause: &str| {
        recorded.counter(&format!(
            "flags_billing_unflushed_requests_total{{cause={cause}}}"
        ))
    };
    assert_eq!(unflushed("cap_drop"), 10);
    // Not applied; then gone; then one refused, one applied, one in doubt.
    for errors in 1..=3 {
        assert!(!flusher.flush().await);
        assert_eq!(recorded.counter("flags_billing_flush_errors_total{}"), errors);
    }
    assert_eq!(
        recorded.counter("feature_flags_usage_uncertain_requests_total{}"),
        10
    );
    assert_eq!(unflushed("redis_error"), 10);
    assert_eq!(recorded.counter("flags_billing_entries_flushed_total{}"), 1);
    // Four of five have been taken; the last one taken is still pending.
    assert_eq!(recorded.counter("flags_billing_records_total{}"), 40);
    assert_eq!(recorded.gauge("flags_billing_pending_entries{}"), 2.0);
    assert_eq!(recorded.gauge("flags_billing_pending_records{}"), 20.0);
    assert!(recorded.gauge("flags_billing_seconds_since_successful_flush{}") >= 0.0);
    let left = flusher.end();
    assert_eq!((left.dropped, left.uncertain), (10, 10));
    assert_eq!(unflushed("shutdown_drop"), 10);
    assert_eq!(
        recorded.counter("feature_flags_usage_uncertain_requests_total{}"),
        20
    );
}
