//! The spans of one request: its own, and those of stages that need no waiting, made at its end from what its note says.
//!
//! Stages that wait tell for themselves while they run (`span`), because calls to stores are below them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sampler::Sampled;
use crate::span::{Kind, Scope, Sink, Span, SpanId, Status, Trace, Value};
use crate::telemetry::note::{RequestNote, Stage, StageTimes, TeamCache};
use crate::telemetry::requests::Ending;

/// Numbers that the log line of a traced request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceIds {
    /// The trace.
    pub trace_id: u128,
    /// The request's own span.
    pub span_id: SpanId,
}

/// How a request began, as its span says it.
#[derive(Debug, Clone, Copy)]
pub struct RequestStart {
    /// When its head was read.
    pub at: Instant,
    /// Method, of which there are few.
    pub method: &'static str,
    /// Pattern of its route.
    pub route: &'static str,
}

/// A sampled request. Dropped without an end, because the client went away, it says so.
#[derive(Debug)]
pub struct RequestTrace {
    trace: Arc<Trace>,
    id: SpanId,
    parent: Option<SpanId>,
    start: RequestStart,
    ended: bool,
}

impl RequestTrace {
    pub(super) fn new(
        sampled: Sampled,
        state: Option<Box<str>>,
        start: RequestStart,
        sink: Arc<dyn Sink>,
    ) -> Self {
        let trace = Arc::new(Trace::new(sampled.trace_id, state, sink));
        Self {
            id: trace.span_id(),
            trace,
            parent: sampled.parent,
            start,
            ended: false,
        }
    }

    /// For the log.
    #[must_use]
    pub fn ids(&self) -> TraceIds {
        TraceIds {
            trace_id: self.trace.id(),
            span_id: self.id,
        }
    }

    /// Where parts of the request begin.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::new(Arc::clone(&self.trace), self.id)
    }

    /// The request has its answer. `note`: what it says of itself, if it is an evaluation.
    pub fn end(mut self, note: Option<&RequestNote>, ending: &Ending) {
        let mut attributes = Vec::with_capacity(12);
        if let Some(note) = note {
            self.stages(&note.stages);
            describe(note, &mut attributes);
        }
        attributes.push(("http.response.status_code", Value::Integer(ending.status.into())));
        let status = if ending.status >= 500 {
            let code = ending
                .error_code
                .map_or_else(|| Cow::Owned(ending.status.to_string()), Cow::Borrowed);
            Status::Error(code)
        } else {
            Status::Unset
        };
        match (ending.error_code, &status) {
            (Some(code), _) => attributes.push(("error.type", code.into())),
            (None, Status::Error(code)) => attributes.push(("error.type", Value::Text(code.clone()))),
            (None, Status::Unset) => {}
        }
        self.keep(attributes, status);
    }

    fn keep(&mut self, mut attributes: Vec<(&'static str, Value)>, status: Status) {
        self.ended = true;
        attributes.push(("http.request.method", self.start.method.into()));
        attributes.push(("http.route", self.start.route.into()));
        let method = match self.start.method {
            // OpenTelemetry's word for what is none of the known ones is no good name.
            "_OTHER" => "HTTP",
            known => known,
        };
        self.trace.keep(Span {
            id: self.id,
            parent: self.parent,
            name: Cow::Owned(format!("{method} {}", self.start.route)),
            kind: Kind::Server,
            began: self.trace.since_epoch(self.start.at),
            ended: self.trace.since_epoch(Instant::now()),
            attributes,
            status,
        });
    }

    /// Stages follow each other, so that their lengths tell their beginnings.
    fn stages(&self, times: &StageTimes) {
        let (Some(began), Some(spent)) = (times.began(), times.spent()) else {
            return;
        };
        let mut at = self.trace.since_epoch(began);
        for stage in [
            Stage::Decode,
            Stage::Snapshot,
            Stage::Gather,
            Stage::Evaluate,
            Stage::Encode,
        ] {
            let took = spent[stage as usize];
            let ended = at + took;
            let tells_for_itself = stage == Stage::Gather
                || (stage == Stage::Snapshot && self.trace.last_end(self.id, stage.name()).is_some());
            if took > Duration::ZERO && !tells_for_itself {
                // What is computed before stored facts are asked for belongs to the evaluation; it is drawn behind them.
                let gathered = self
                    .trace
                    .last_end(self.id, Stage::Gather.name())
                    .unwrap_or_default();
                let began = if stage == Stage::Evaluate {
                    at.max(gathered).min(ended)
                } else {
                    at
                };
                self.stage(stage, began, ended);
            }
            at = ended;
        }
    }

    fn stage(&self, stage: Stage, began: Duration, ended: Duration) {
        self.trace.keep(Span {
            id: self.trace.span_id(),
            parent: Some(self.id),
            name: Cow::Borrowed(stage.name()),
            kind: Kind::Internal,
            began,
            ended,
            attributes: Vec::new(),
            status: Status::Unset,
        });
    }
}

impl Drop for RequestTrace {
    fn drop(&mut self) {
        if !self.ended {
            let attributes = vec![("error.type", Value::from("cancelled"))];
            self.keep(attributes, Status::Error(Cow::Borrowed("cancelled")));
        }
    }
}

/// What a request's note says that is worth a search. No id of a person, no address, no token.
fn describe(note: &RequestNote, attributes: &mut Vec<(&'static str, Value)>) {
    if let Some(id) = note
        .request_id
        .as_ref()
        .and_then(|id| std::str::from_utf8(id).ok())
    {
        attributes.push(("feature_flags.request_id", id.to_owned().into()));
    }
    if let Some(team) = note.team_id {
        attributes.push(("feature_flags.team_id", i64::from(team).into()));
    }
    if let Some(cache) = note.team_cache {
        let source = match cache {
            TeamCache::Held => "memory",
            TeamCache::Loaded => note.tier.unwrap_or("load"),
        };
        attributes.push(("feature_flags.team_source", source.into()));
    }
    if note.evaluated {
        attributes.push(("feature_flags.flags", i64::from(note.flags_evaluated).into()));
        attributes.push((
            "feature_flags.flags_errored",
            i64::from(note.flags_errored).into(),
        ));
    }
    if note.place_wait >= Duration::from_millis(1) {
        let waited_ms = i64::try_from(note.place_wait.as_millis()).unwrap_or(i64::MAX);
        attributes.push(("feature_flags.place_wait_ms", waited_ms.into()));
    }
    for (name, holds) in [
        ("feature_flags.quota_limited", note.quota_limited),
        ("feature_flags.rate_limited", note.rate_limited),
        ("feature_flags.timed_out", note.timed_out),
    ] {
        if holds {
            attributes.push((name, true.into()));
        }
    }
}
