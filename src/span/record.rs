//! Spans of one request, and the memory that they are kept in.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Spans that one trace keeps; a request has a dozen, and one that retries without end must not grow.
pub const SPANS_MAX: usize = 128;

/// Number of a span within its trace; zero means "none" to everybody else, and is no id.
pub type SpanId = NonZeroU64;

/// Who is on the other side of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nobody.
    Internal,
    /// Whoever sent the request.
    Server,
    /// A store.
    Client,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// As intended, or as the sender's mistake deserved.
    Unset,
    /// It failed; a code, never a text from outside.
    Error(Cow<'static, str>),
}

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

/// Something that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its number.
    pub id: SpanId,
    /// Of what it is a part; `None`: it is the first of its trace.
    pub parent: Option<SpanId>,
    /// A name of which there are few.
    pub name: Cow<'static, str>,
    /// Who is on the other side.
    pub kind: Kind,
    /// Since 1970.
    pub began: Duration,
    /// Since 1970, not before `began`.
    pub ended: Duration,
    /// What else is known.
    pub attributes: Vec<(&'static str, Value)>,
    /// How it ended.
    pub status: Status,
}

/// Who gets the spans of a trace when nobody adds to it any more.
pub trait Sink: Send + Sync {
    /// Takes all of them, in the order in which they ended. `left_out`: how many more there were. Must not wait.
    fn take(&self, trace_id: u128, state: Option<Box<str>>, spans: Vec<Span>, left_out: u32);

    /// A new number for a span.
    fn span_id(&self) -> SpanId;
}

/// One sampled request. Its spans go to the sink with the last [`Arc`] of it: a load that others wait for may outlive
/// the request that began it. The lock is free nearly always, and only sampled requests have one.
pub struct Trace {
    id: u128,
    state: Option<Box<str>>,
    /// One moment on two clocks, so that spans of a trace agree when the system's clock is set.
    moment: (Instant, Duration),
    kept: Mutex<Kept>,
    sink: Arc<dyn Sink>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Vec<Span>,
    left_out: u32,
}

impl Trace {
    /// With the id and `tracestate` that the request came with, or a new id.
    #[must_use]
    pub fn new(id: u128, state: Option<Box<str>>, sink: Arc<dyn Sink>) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id,
            state,
            moment: (Instant::now(), since_epoch),
            kept: Mutex::default(),
            sink,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u128 {
        self.id
    }

    /// A new number for a span.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.sink.span_id()
    }

    /// A moment of this process as time since 1970.
    #[must_use]
    pub fn since_epoch(&self, at: Instant) -> Duration {
        let (moment, since_epoch) = self.moment;
        match at.checked_duration_since(moment) {
            Some(after) => since_epoch.saturating_add(after),
            None => since_epoch.saturating_sub(moment.saturating_duration_since(at)),
        }
    }

    /// Keeps a span, unless there are too many already.
    pub fn keep(&self, span: Span) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.spans.len() < SPANS_MAX {
            kept.spans.push(span);
        } else {
            kept.left_out += 1;
        }
    }

    /// When the last span of that name below `parent` ended, since 1970; `None`: there is none yet.
    #[must_use]
    pub fn last_end(&self, parent: SpanId, name: &str) -> Option<Duration> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let named = kept
            .spans
            .iter()
            .filter(|span| span.parent == Some(parent) && span.name == name);
        named.map(|span| span.ended).max()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let kept = std::mem::take(self.kept.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !kept.spans.is_empty() {
            self.sink
                .take(self.id, self.state.take(), kept.spans, kept.left_out);
        }
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Trace")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
