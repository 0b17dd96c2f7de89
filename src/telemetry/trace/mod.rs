//! Traces of requests, for an OpenTelemetry collector: which requests are traced, what their spans say, and how they get there.
//!
//! `context.rs` reads what a request comes with, `sampler.rs` decides, `request.rs` makes the spans of a request, `queue.rs` and
//! `exporter.rs` take them away, `encode.rs` writes them as OTLP. How a message travels is a port (`port.rs`): this knows no HTTP.
//!
//! Off, there is no [`Tracer`], and a request pays for asking whether there is one. On, a request that is not sampled pays
//! for a look at its headers and a random number. Only sampled requests allocate.

mod context;
mod encode;
mod exporter;
mod port;
mod protobuf;
mod queue;
mod request;
mod sampler;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use encode::Resource;
pub use exporter::Exporting;
pub use port::{Collector, ExportError, Retry};
pub use protobuf::{Message, Read, fields};
pub use request::{RequestStart, RequestTrace, TraceIds};

use self::context::Parent;
use self::queue::Queue;
use self::sampler::Sampler;

/// How to trace.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// Share of the traces that begin here which are kept.
    pub ratio: f64,
    /// For an export, and for the last ones at the end of the process.
    pub export_timeout: Duration,
    /// What all spans share.
    pub resource: Resource,
}

/// What traces requests; cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    sampler: Sampler,
    queue: Arc<Queue>,
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tracer").finish_non_exhaustive()
    }
}

impl Tracer {
    /// The trace of a request that begins, if it is sampled. `parent` and `state`: its `traceparent` and `tracestate`.
    pub fn begin(
        &self,
        parent: Option<&[u8]>,
        state: impl FnOnce() -> Option<Vec<u8>>,
        start: impl FnOnce() -> RequestStart,
    ) -> Option<Box<RequestTrace>> {
        let parent = parent.and_then(Parent::parse);
        let sampled = self.sampler.decide(parent)?;
        // Without a valid parent there is no state (W3C 3.4).
        let state = parent.and_then(|_| context::state(&state()?));
        let sink = Arc::clone(&self.queue);
        Some(Box::new(RequestTrace::new(sampled, state, start(), sink)))
    }
}

/// Requests of a process are traced by one.
static TRACER: OnceLock<Tracer> = OnceLock::new();

/// Traces the requests of this process from now on; `None`: they are traced already. Needs a tokio runtime, on which the
/// exporter runs until [`Exporting::finish`].
#[must_use]
pub fn install(settings: TraceSettings, collector: Arc<dyn Collector>) -> Option<Exporting> {
    let (queue, traces, counts) = Queue::new();
    let tracer = Tracer {
        sampler: Sampler::new(settings.ratio),
        queue,
    };
    TRACER.set(tracer).ok()?;
    let TraceSettings {
        resource,
        export_timeout,
        ..
    } = settings;
    Some(Exporting::start(
        traces,
        counts,
        resource,
        collector,
        export_timeout,
    ))
}

/// What traces the requests of this process, once it is installed.
#[must_use]
pub fn tracer() -> Option<Tracer> {
    TRACER.get().cloned()
}
