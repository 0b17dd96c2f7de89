//! From requests to the exporter, without waiting: one bounded queue. What does not fit is dropped and counted.

use std::sync::Arc;

use metrics::{Counter, counter};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::sampler;
use crate::span::{Sink, Span, SpanId};

/// Traces that may wait to be exported. A trace has a dozen spans of some 300 bytes; this is what a second of 2,000 sampled
/// requests makes.
const TRACES_MAX: usize = 2048;

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
}

impl Queue {
    pub fn new() -> (Arc<Self>, Receiver<Finished>, SpanCounts) {
        Self::of(TRACES_MAX)
    }

    fn of(traces_max: usize) -> (Arc<Self>, Receiver<Finished>, SpanCounts) {
        let (sender, receiver) = channel(traces_max);
        let counts = SpanCounts::new();
        let queue = Self {
            sender,
            counts: counts.clone(),
        };
        (Arc::new(queue), receiver, counts)
    }
}

impl Sink for Queue {
    fn take(&self, trace_id: u128, state: Option<Box<str>>, spans: Vec<Span>, left_out: u32) {
        self.counts.dropped(Dropped::TraceFull, left_out as usize);
        let finished = Finished {
            trace_id,
            state,
            spans,
        };
        if let Err(TrySendError::Full(lost) | TrySendError::Closed(lost)) = self.sender.try_send(finished) {
            self.counts.dropped(Dropped::QueueFull, lost.spans.len());
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

    #[test]
    fn a_full_queue_drops_and_never_waits() {
        let (queue, mut receiver, _) = Queue::of(2);
        for id in 1..=5 {
            let trace = Arc::new(Trace::new(id, None, Arc::clone(&queue) as _));
            Scope::new(trace, sampler::span_id())
                .open(Kind::Client, "GET")
                .end();
        }
        let ids: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok())
            .map(|trace| trace.trace_id)
            .collect();
        assert_eq!(ids, [1, 2]);
    }
}
