//! What is tried again, what is given up, and when it is over.

use std::pin::Pin;
use std::sync::Mutex;

use super::*;
use crate::span::{Kind, Scope, Sink, Trace};
use crate::telemetry::trace::queue::Queue;
use crate::telemetry::trace::sampler;

type Answer = Option<Result<Bytes, ExportError>>;

/// Answers as it is told, and `None` never; afterwards well.
#[derive(Default)]
struct Scripted {
    answers: Mutex<Vec<Answer>>,
    asked: Mutex<Vec<Bytes>>,
}

impl Collector for Scripted {
    fn export(
        &self,
        request: Bytes,
        _: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, ExportError>> + Send + '_>> {
        self.asked.lock().unwrap().push(request);
        let answer = self
            .answers
            .lock()
            .unwrap()
            .pop()
            .unwrap_or(Some(Ok(Bytes::new())));
        Box::pin(async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }

    fn place(&self) -> &str {
        "a script"
    }
}

fn later() -> Answer {
    Some(Err(ExportError::later("busy")))
}

/// Exports so many traces to a collector that answers so, the last answer first, and ends. What was asked, and how long it took.
fn export(traces: u128, answers: Vec<Answer>, limit: Duration) -> (Vec<Bytes>, Duration) {
    let collector = Arc::new(Scripted {
        answers: Mutex::new(answers),
        ..Scripted::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let began = std::time::Instant::now();
    runtime.block_on(async {
        let (queue, receiver, counts) = Queue::new();
        let exporting = Exporting::start(
            receiver,
            counts,
            Resource::default(),
            Arc::clone(&collector) as _,
            limit,
        );
        for id in 1..=traces {
            let sink: Arc<dyn Sink> = Arc::clone(&queue) as _;
            let trace = Arc::new(Trace::new(id, None, sink));
            let scope = Scope::new(trace, sampler::span_id());
            for _ in 0..100 {
                scope.open(Kind::Client, "GET").end();
            }
        }
        exporting.finish().await;
    });
    let asked = std::mem::take(&mut *collector.asked.lock().unwrap());
    (asked, began.elapsed())
}

#[test]
fn the_end_exports_everything_in_batches_without_waiting_for_more() {
    let (asked, took) = export(20, Vec::new(), Duration::from_secs(30));
    // Six traces of 100 spans pass 512.
    assert_eq!(asked.len(), 4);
    assert!(took < BATCH_DELAY, "{took:?}");
}

#[test]
fn a_refusal_is_final_and_an_overload_is_not() {
    let refused = Some(Err(ExportError::never("no")));
    let (asked, _) = export(1, vec![refused], Duration::from_secs(30));
    assert_eq!(asked.len(), 1);
    // The process ends: nothing waits, and there is no further attempt.
    let (asked, took) = export(1, vec![later()], Duration::from_secs(30));
    assert_eq!(asked.len(), 1);
    assert!(took < RETRY_FIRST, "{took:?}");
}

#[test]
fn the_end_does_not_wait_for_a_collector_that_hangs() {
    let limit = Duration::from_millis(300);
    let (asked, took) = export(20, vec![None; 20], limit);
    assert_eq!(asked.len(), 4, "each is tried once at least");
    assert!((limit..limit * 5).contains(&took), "{took:?}");
}

#[test]
fn the_same_message_is_sent_again_while_the_process_runs() {
    let collector = Arc::new(Scripted {
        answers: Mutex::new(vec![later()]),
        ..Scripted::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (queue, receiver, counts) = Queue::new();
        let limit = Duration::from_secs(30);
        let exporting = Exporting::start(
            receiver,
            counts,
            Resource::default(),
            Arc::clone(&collector) as _,
            limit,
        );
        let trace = Arc::new(Trace::new(1, None, queue));
        Scope::new(trace, sampler::span_id())
            .open(Kind::Client, "GET")
            .end();
        while collector.asked.lock().unwrap().len() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
        exporting.finish().await;
    });
    let asked = collector.asked.lock().unwrap();
    assert_eq!((asked.len(), &asked[0]), (2, &asked[1]));
}

#[test]
fn pauses_grow_and_the_collector_may_ask_for_longer_ones() {
    for (attempt, most_ms) in [(1, 500), (2, 1000), (3, 2000)] {
        let most = Duration::from_millis(most_ms);
        assert!((most / 2..=most).contains(&pause(attempt, None)));
    }
    assert_eq!(pause(1, Some(Duration::from_secs(9))), Duration::from_secs(9));
    assert_eq!(pause(1, Some(Duration::from_secs(999))), RETRY_MAX);
}
