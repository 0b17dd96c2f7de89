//! Traces as an `ExportTraceServiceRequest` of OTLP 1.x (`opentelemetry/proto/collector/trace/v1`), field by field.
//!
//! The tests decode it with the official definitions, which this shares nothing with.

use std::time::Duration;

use super::protobuf::{Message, Read, fields};
use super::queue::Finished;
use crate::span::{Kind, Span, Status, Value};

/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE` and, for a parent in another process, `SPAN_FLAGS_CONTEXT_IS_REMOTE`.
const REMOTE_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// The trace is sampled (W3C).
const SAMPLED: u32 = 1;

/// `STATUS_CODE_ERROR`.
const ERROR: i64 = 2;

/// What all spans of a process share.
#[derive(Debug, Clone, Default)]
pub struct Resource(pub Vec<(String, String)>);

/// All traces in one message.
pub(super) fn request(resource: &Resource, traces: &[Finished]) -> Vec<u8> {
    let mut message = Message::default();
    message.message(1, |spans| {
        spans.message(1, |out| {
            for (name, value) in &resource.0 {
                attribute(out, 1, name, |out| out.bytes(1, value.as_bytes()));
            }
        });
        spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| {
                scope.bytes(1, env!("CARGO_PKG_NAME").as_bytes());
                scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            for trace in traces {
                for span in &trace.spans {
                    scope_spans.message(2, |out| write_span(out, trace, span));
                }
            }
        });
    });
    message.into_bytes()
}

fn write_span(out: &mut Message, trace: &Finished, span: &Span) {
    out.bytes(1, &trace.trace_id.to_be_bytes());
    out.bytes(2, &span.id.get().to_be_bytes());
    if let Some(state) = &trace.state {
        out.bytes(3, state.as_bytes());
    }
    if let Some(parent) = span.parent {
        out.bytes(4, &parent.get().to_be_bytes());
    }
    out.bytes(5, span.name.as_bytes());
    out.integer(
        6,
        match span.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
        },
    );
    out.fixed64(7, nanoseconds(span.began));
    out.fixed64(8, nanoseconds(span.ended));
    for (name, value) in &span.attributes {
        attribute(out, 9, name, |out| match value {
            Value::Text(text) => out.bytes(1, text.as_bytes()),
            Value::Boolean(value) => out.integer(2, i64::from(*value)),
            Value::Integer(number) => out.integer(3, *number),
        });
    }
    if let Status::Error(code) = &span.status {
        out.message(15, |status| {
            status.bytes(2, code.as_bytes());
            status.integer(3, ERROR);
        });
    }
    // Only the span of the request itself can have its parent elsewhere.
    let is_remote = span.kind == Kind::Server && span.parent.is_some();
    out.fixed32(16, SAMPLED | REMOTE_KNOWN | if is_remote { REMOTE } else { 0 });
}

fn attribute(out: &mut Message, field: u32, name: &str, value: impl FnOnce(&mut Message)) {
    out.message(field, |out| {
        out.bytes(1, name.as_bytes());
        out.message(2, value);
    });
}

fn nanoseconds(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// What an `ExportTraceServiceResponse` says was not taken: how many spans, and why.
pub(super) fn rejected(response: &[u8]) -> Option<(u64, String)> {
    let partial = fields(response).find_map(|field| match field {
        (1, Read::Bytes(partial)) => Some(partial),
        _ => None,
    })?;
    let (mut spans, mut why) = (0, String::new());
    for field in fields(partial) {
        match field {
            (1, Read::Number(number)) => spans = number,
            (2, Read::Bytes(text)) => why = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
    }
    (spans > 0 || !why.is_empty()).then_some((spans, why))
}

#[cfg(test)]
mod tests;
