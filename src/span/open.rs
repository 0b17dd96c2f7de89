//! A span that has begun. One that is dropped without an end was given up: its future was.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::Scope;
use super::record::{Kind, Span, SpanId, Status, Trace, Value};

/// Code of what was given up before it ended, by a deadline or because the client went away.
pub(super) const GIVEN_UP: &str = "cancelled";

/// See the module.
#[derive(Debug)]
pub struct OpenSpan {
    trace: Arc<Trace>,
    id: SpanId,
    parent: SpanId,
    kind: Kind,
    name: Cow<'static, str>,
    began: Instant,
    attributes: Vec<(&'static str, Value)>,
    /// `None`: it has not ended.
    status: Option<Status>,
}

impl OpenSpan {
    pub(super) fn new(scope: &Scope, kind: Kind, name: Cow<'static, str>) -> Self {
        Self {
            trace: Arc::clone(&scope.trace),
            id: scope.trace.span_id(),
            parent: scope.parent,
            kind,
            name,
            began: Instant::now(),
            attributes: Vec::new(),
            status: None,
        }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> SpanId {
        self.id
    }

    /// Adds what is known. Never a parameter of a query, and nothing secret.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Ends it as intended.
    pub fn end(mut self) {
        self.status = Some(Status::Unset);
    }

    /// Ends it as a failure, with a code.
    pub fn fail(mut self, code: impl Into<Cow<'static, str>>) {
        self.status = Some(Status::Error(code.into()));
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        let status = self
            .status
            .take()
            .unwrap_or(Status::Error(Cow::Borrowed(GIVEN_UP)));
        let mut attributes = std::mem::take(&mut self.attributes);
        if let Status::Error(code) = &status {
            attributes.push(("error.type", Value::Text(code.clone())));
        }
        let trace = &self.trace;
        trace.keep(Span {
            id: self.id,
            parent: Some(self.parent),
            name: std::mem::take(&mut self.name),
            kind: self.kind,
            began: trace.since_epoch(self.began),
            ended: trace.since_epoch(Instant::now()),
            attributes,
            status,
        });
    }
}

/// Ends a span, if there is one, as the result says.
pub fn settle<T, E, C: Into<Cow<'static, str>>>(
    span: Option<OpenSpan>,
    result: &Result<T, E>,
    code: impl FnOnce(&E) -> C,
) {
    let Some(span) = span else { return };
    match result {
        Ok(_) => span.end(),
        Err(error) => span.fail(code(error)),
    }
}
