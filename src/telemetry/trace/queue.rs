//! From requests to the exporter, without waiting: one bounded queue. What does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{Counter, counter};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::sampler;
use crate::span::{Sink, Span, SpanId};

/// Spans that may wait to be exported, some 300 bytes each: 5 MB, which is what a second of 3,000 sampled requests makes.
const WAITING_MAX: usize = 16 * 1024;

/// A trace that nobody adds to any more.
#[derive(Debug)]
pub struct Finished {
    /// Number of the trace.
    pub trace_id: u128,
    /// `tracestate` that the request came with.
    pub state: Option<Box<str>>,
    /// In the order in which they ended.
    pub spans: Vec<Span>,
}

/// Spans by what became of them.
#[derive(Debug, Clone)]
pub(super) struct SpanCounts {
    exported: Counter,
    /// Not exported: too many in one trace, too many traces waiting, or the collector did not take them.
    dropped: [Counter; 3],
}

/// Why a span is not exported.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dropped {
    /// Its trace has too many.
    TraceFull,
    /// The exporter is behind.
    QueueFull,
    /// The collector refused it or could not be reached.
    NotTaken,
}

impl SpanCounts {
    fn new() -> Self {
        Self {
            exported: counter!("feature_flags_trace_spans_exported_total"),
            dropped: ["trace_full", "queue_full", "not_taken"]
                .map(|reason| counter!("feature_flags_trace_spans_dropped_total", "reason" => reason)),
        }
    }

    pub fn exported(&self, spans: usize) {
        self.exported.increment(spans as u64);
    }

    pub fn dropped(&self, why: Dropped, spans: usize) {
        if spans > 0 {
            self.dropped[why as usize].increment(spans as u64);
        }
    }
}

/// The end that requests hold.
pub(super) struct Queue {
    sender: Sender<Finished>,
    counts: SpanCounts,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
}

/// The end that the exporter holds.
pub(super) struct Outlet {
    receiver: Receiver<Finished>,
    waiting: Arc<AtomicUsize>,
}

impl Outlet {
    /// The next trace; `None` once the outlet is closed and empty. Cancel safe.
    pub async fn next(&mut self) -> Option<Finished> {
        let finished = self.receiver.recv().await?;
        self.waiting.fetch_sub(finished.spans.len(), Ordering::Relaxed);
        Some(finished)
    }

    /// Takes nothing more; what is there stays.
    pub fn close(&mut self) {
        self.receiver.close();
    }
}

impl Queue {
    pub fn new() -> (Arc<Self>, Outlet, SpanCounts) {
        Self::of(WAITING_MAX)
    }

    fn of(waiting_max: usize) -> (Arc<Self>, Outlet, SpanCounts) {
        // A trace has a span at least.
        let (sender, receiver) = channel(waiting_max);
        let (counts, waiting) = (SpanCounts::new(), Arc::new(AtomicUsize::new(0)));
        let queue = Self {
            sender,
            counts: counts.clone(),
            waiting: Arc::clone(&waiting),
            waiting_max,
        };
        (Arc::new(queue), Outlet { receiver, waiting }, counts)
    }
}

impl Sink for Queue {
    fn take(&self, trace_id: u128, state: Option<Box<str>>, spans: Vec<Span>, left_out: u32) {
        self.counts.dropped(Dropped::TraceFull, left_out as usize);
        let count = spans.len();
        let waiting = self.waiting.fetch_add(count, Ordering::Relaxed) + count;
        let finished = Finished {
            trace_id,
            state,
            spans,
        };
        if waiting > self.waiting_max || self.sender.try_send(finished).is_err() {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            self.counts.dropped(Dropped::QueueFull, count);
        }
    }

    fn span_id(&self) -> SpanId {
        sampler::span_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::{Kind, Scope, Trace};

    fn trace(queue: &Arc<Queue>, id: u128, spans: usize) {
        let trace = Arc::new(Trace::new(id, None, Arc::clone(queue) as _));
        let scope = Scope::new(trace, sampler::span_id());
        for _ in 0..spans {
            scope.open(Kind::Client, "GET").end();
        }
    }

    #[test]
    fn a_full_queue_drops_and_never_waits() {
        let (queue, mut outlet, _) = Queue::of(10);
        for (id, spans) in [(1, 4), (2, 5), (3, 2), (4, 1), (5, 1)] {
            trace(&queue, id, spans);
        }
        outlet.close();
        trace(&queue, 6, 1);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut ids = Vec::new();
        runtime.block_on(async {
            while let Some(finished) = outlet.next().await {
                ids.push(finished.trace_id);
            }
        });
        assert_eq!(ids, [1, 2, 4]);
        assert_eq!(outlet.waiting.load(Ordering::Relaxed), 0, "there is room again");
    }
}
