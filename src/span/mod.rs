//! What happens inside a traced request, told by whichever layer it happens in.
//!
//! A layer says that something begins and how it ended; it does not know whether anybody listens. Nobody does unless the
//! request is sampled: then its future carries a [`Scope`] (a task-local value), and spans are kept in the request's own
//! memory. Without one, telling costs a look at a thread-local value, and only work that waits for a store tells at all.
//!
//! Knows neither sampling, nor propagation, nor where spans go: whoever opened the trace gets them all at its end.

mod open;
mod record;

use std::sync::Arc;

pub use open::{OpenSpan, settle};
pub use record::{Kind, SPANS_MAX, Sink, Span, SpanId, Status, Trace, Value};

tokio::task_local! {
    static CURRENT: Scope;
}

/// A place in a trace: what begins here is a child of that span.
#[derive(Debug, Clone)]
pub struct Scope {
    trace: Arc<Trace>,
    parent: SpanId,
}

impl Scope {
    /// Below a span of the trace.
    #[must_use]
    pub fn new(trace: Arc<Trace>, parent: SpanId) -> Self {
        Self { trace, parent }
    }

    /// Begins a child.
    #[must_use]
    pub fn open(&self, kind: Kind, name: impl Into<std::borrow::Cow<'static, str>>) -> OpenSpan {
        OpenSpan::new(self, kind, name.into())
    }
}

/// The place in a trace of what runs now; `None`: it is not traced.
#[must_use]
pub fn current() -> Option<Scope> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Begins a span of a call to another process. `describe` runs only if the request is traced.
#[must_use]
pub fn call<N: Into<std::borrow::Cow<'static, str>>>(describe: impl FnOnce() -> N) -> Option<OpenSpan> {
    let scope = current()?;
    Some(scope.open(Kind::Client, describe()))
}

/// Runs a future at a place of a trace, which tasks that it starts do not inherit: see [`current`].
pub async fn within<F: Future>(scope: Option<Scope>, future: F) -> F::Output {
    match scope {
        Some(scope) => CURRENT.scope(scope, future).await,
        None => future.await,
    }
}

/// Runs a part of a request's work as a span of its own; what begins meanwhile is below it. `code` names an error.
///
/// # Errors
/// As the future.
pub async fn stage<T, E>(
    name: &'static str,
    future: impl Future<Output = Result<T, E>>,
    code: impl FnOnce(&E) -> &'static str,
) -> Result<T, E> {
    let Some(scope) = current() else {
        return future.await;
    };
    let span = scope.open(Kind::Internal, name);
    let result = CURRENT.scope(Scope::new(scope.trace, span.id()), future).await;
    settle(Some(span), &result, code);
    result
}

#[cfg(test)]
mod tests;
