//! Turns for dear requests: what costs much gives way between slices to everything that is ready to run.
//!
//! Two bounds. So many dear requests are admitted at once that the others always find places; the rest wait outside, first come
//! first served, with nothing but their bodies. Of the admitted as many evaluate at once as there are threads, and on one thread
//! never two in turns with each other: between two slices there, everything that became ready meanwhile has run.
//!
//! Why slices, and not threads for dear requests alone: the runtime already uses every processor of the quota, threads beside it
//! would be throttled or would take a processor from cheap requests even when nothing dear is asked for. Knows nothing of
//! definitions.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Instant;

use metrics::{Counter, Histogram, counter, histogram};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;

/// Larger bodies are decoded in a turn: a parser cannot be interrupted, but nothing has to wait behind two of them. Decoding
/// so much takes about as long as a slice.
const LARGE_BODY_BYTES: usize = 64 * 1024;

/// What dear requests share.
pub struct Fairness {
    slice_cost: u64,
    admitted: Arc<Semaphore>,
    evaluating: Arc<Semaphore>,
    requests: Counter,
    slices: Counter,
    place_seconds: Histogram,
    turn_seconds: Histogram,
    on_slice: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Fairness {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Fairness")
            .field("slice_cost", &self.slice_cost)
            .finish_non_exhaustive()
    }
}

impl Fairness {
    /// `slice_cost`: estimated instructions from which on a request is dear, and of which a slice is made; 0: none is dear.
    /// `admitted_max`: dear requests with a place in the handlers. `threads`: of the runtime.
    #[must_use]
    pub fn new(slice_cost: u64, admitted_max: usize, threads: usize) -> Self {
        Self {
            slice_cost: if slice_cost == 0 { u64::MAX } else { slice_cost },
            admitted: Arc::new(Semaphore::new(admitted_max.clamp(1, Semaphore::MAX_PERMITS))),
            evaluating: Arc::new(Semaphore::new(threads.clamp(1, Semaphore::MAX_PERMITS))),
            requests: counter!("feature_flags_dear_requests_total"),
            slices: counter!("feature_flags_dear_slices_total"),
            place_seconds: histogram!("feature_flags_dear_wait_seconds", "for" => "place"),
            turn_seconds: histogram!("feature_flags_dear_wait_seconds", "for" => "turn"),
            on_slice: OnceLock::new(),
        }
    }

    /// Nothing is dear.
    #[must_use]
    pub fn off() -> Self {
        Self::new(0, 1, 1)
    }

    /// Calls that as each slice begins, on its thread: for whoever has to know the order of events.
    /// The first caller is heard.
    pub fn watch_slices(&self, call: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_slice.set(Box::new(call));
    }

    /// Whether decoding so many bytes is a slice of its own.
    #[must_use]
    pub fn is_large(&self, body_bytes: usize) -> bool {
        body_bytes > LARGE_BODY_BYTES && self.slice_cost != u64::MAX
    }

    /// Whether a selection of that cost is dear.
    #[must_use]
    pub fn is_dear(&self, cost: u64) -> bool {
        cost > self.slice_cost
    }

    /// Estimated instructions of a slice.
    #[must_use]
    pub fn slice_cost(&self) -> u64 {
        self.slice_cost
    }

    /// Waits until another dear request may take a place. The caller brings the deadline; dropping the future gives up the turn.
    pub async fn admit(&self) -> Admitted {
        let since = Instant::now();
        // Never closed; without a permit the request would only be less polite.
        let permit = Arc::clone(&self.admitted).acquire_owned().await.ok();
        self.place_seconds.record(since.elapsed().as_secs_f64());
        self.requests.increment(1);
        Admitted { _permit: permit }
    }

    /// Waits for a turn to evaluate. Not to be held while something is waited for that is not processor time.
    pub async fn turn(self: &Arc<Self>) -> Turn {
        let since = Instant::now();
        let permit = Arc::clone(&self.evaluating).acquire_owned().await.ok();
        self.turn_seconds.record(since.elapsed().as_secs_f64());
        Turn {
            fairness: Arc::clone(self),
            _permit: permit,
            lane: None,
        }
    }
}

/// A dear request's right to a place in the handlers.
#[derive(Debug)]
pub struct Admitted {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A dear request's right to evaluate.
#[derive(Debug)]
pub struct Turn {
    fairness: Arc<Fairness>,
    // Before the permit: who gets that finds the lane free.
    lane: Option<Lane>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Lets everything else run that is ready, and what came in while the last slice ran; then the caller may run one slice.
    pub async fn slice(&mut self) {
        loop {
            others_first().await;
            // The task may have come to another thread.
            self.lane = None;
            self.lane = Lane::take();
            if self.lane.is_some() {
                break;
            }
        }
        self.fairness.slices.increment(1);
        if let Some(call) = self.fairness.on_slice.get() {
            call();
        }
    }

    /// After the last slice: lets others run, so that the next turn does not begin at once behind this one.
    pub async fn end(self) {
        others_first().await;
    }
}

/// A task that yields is woken once the runtime has looked for input, possibly before what that look found. Then it goes to
/// the end of the queue, where a task stands that wakes itself: whatever was found runs first.
async fn others_first() {
    yield_now().await;
    let mut stood_behind = false;
    poll_fn(|context| {
        if stood_behind {
            return Poll::Ready(());
        }
        stood_behind = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

thread_local! {
    static LANE: Arc<AtomicBool> = Arc::default();
}

/// Held from a slice until everything that was ready on its thread has run.
#[derive(Debug)]
struct Lane(Arc<AtomicBool>);

impl Lane {
    fn take() -> Option<Self> {
        let lane = LANE.with(Arc::clone);
        // Not `then_some`: a lane that is made gives itself back when it is dropped, and this one may be another's.
        (!lane.swap(true, Ordering::Acquire)).then(|| Self(lane))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
