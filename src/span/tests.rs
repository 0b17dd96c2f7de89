//! Who sees what, and when the sink gets it.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::open::GIVEN_UP;
use super::*;

/// What a trace left: its id, its spans, and how many were left out.
type Taken = (u128, Vec<Span>, u32);

#[derive(Default)]
struct Kept {
    taken: Mutex<Vec<Taken>>,
    ids: AtomicU64,
}

impl Sink for Kept {
    fn take(&self, trace_id: u128, _state: Option<Box<str>>, spans: Vec<Span>, left_out: u32) {
        self.taken.lock().unwrap().push((trace_id, spans, left_out));
    }

    fn span_id(&self) -> SpanId {
        NonZeroU64::MIN.saturating_add(self.ids.fetch_add(1, Ordering::Relaxed) + 100)
    }
}

fn root() -> SpanId {
    NonZeroU64::MIN
}

fn trace(sink: &Arc<Kept>) -> Arc<Trace> {
    Arc::new(Trace::new(7, None, Arc::clone(sink) as _))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

async fn query(answer: Result<(), &'static str>) -> Result<(), &'static str> {
    let span = call(|| "SELECT").map(|span| span.with("db.system.name", "postgresql"));
    tokio::task::yield_now().await;
    settle(span, &answer, |code| *code);
    answer
}

#[test]
fn nothing_is_described_when_nobody_listens() {
    runtime().block_on(async {
        assert!(call(|| -> &'static str { panic!("described") }).is_none());
        assert_eq!(stage("gather", query(Ok(())), |code| code).await, Ok(()));
        assert!(current().is_none());
    });
}

#[test]
fn calls_are_below_their_stage_and_tell_how_they_ended() {
    let sink = Arc::new(Kept::default());
    let scope = Scope::new(trace(&sink), root());
    runtime().block_on(within(Some(scope), async {
        assert_eq!(
            stage("gather", query(Err("timeout")), |code| code).await,
            Err("timeout")
        );
        assert_eq!(query(Ok(())).await, Ok(()));
    }));
    let taken = sink.taken.lock().unwrap();
    let [(7, spans, 0)] = &taken[..] else {
        panic!("{taken:?}")
    };
    let [failed, gather, sound] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(failed.parent, Some(gather.id));
    assert_eq!((gather.parent, sound.parent), (Some(root()), Some(root())));
    assert_eq!((failed.kind, gather.kind), (Kind::Client, Kind::Internal));
    assert_eq!(failed.status, Status::Error("timeout".into()));
    assert_eq!(failed.attributes[1], ("error.type", "timeout".into()));
    assert_eq!((&gather.status, &sound.status), (&failed.status, &Status::Unset));
    assert!(gather.began <= failed.began && failed.began <= failed.ended && failed.ended <= gather.ended);
}

#[test]
fn what_is_given_up_says_so_and_a_trace_waits_for_its_last_part() {
    let sink = Arc::new(Kept::default());
    let scope = Scope::new(trace(&sink), root());
    runtime().block_on(async {
        let later = scope.clone();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let load = tokio::spawn(within(Some(later), async {
            gone.await.unwrap();
            query(Ok(())).await
        }));
        let waiting = within(
            Some(scope),
            stage("snapshot", std::future::pending::<Result<(), &str>>(), |code| {
                code
            }),
        );
        let _ = tokio::time::timeout(std::time::Duration::ZERO, waiting).await;
        assert!(sink.taken.lock().unwrap().is_empty(), "the load goes on");
        go.send(()).unwrap();
        load.await.unwrap().unwrap();
    });
    let taken = sink.taken.lock().unwrap();
    let spans = &taken[0].1;
    assert_eq!(spans[0].status, Status::Error(GIVEN_UP.into()));
    assert_eq!((spans.len(), taken.len()), (2, 1));
}

#[test]
fn a_trace_is_bounded() {
    let sink = Arc::new(Kept::default());
    let scope = Scope::new(trace(&sink), root());
    for _ in 0..SPANS_MAX + 5 {
        scope.open(Kind::Client, "GET").end();
    }
    drop(scope);
    let taken = sink.taken.lock().unwrap();
    assert_eq!((taken[0].1.len(), taken[0].2), (SPANS_MAX, 5));
}
