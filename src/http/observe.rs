//! Where requests meet what watches them: metrics and log, each of which may be off. Reads from headers what only these need.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderName, USER_AGENT};
use hyper::{HeaderMap, Method, StatusCode};

use super::client_address::client_address;
use super::request_id::RequestId;

use crate::config::TelemetrySettings;
use crate::engine::value::PropertyValue;
use crate::engine::{FlagResult, FlagValue, Reason};
use crate::evaluation::EvaluationReport;
use crate::snapshot::ProjectSnapshot;
use crate::telemetry::log::{self, Logger};
use crate::telemetry::trace::{self, Tracer};
use crate::telemetry::{
    Ending, ID_BYTES_MAX, NoteLoan, PathLabel, RequestMetrics, RequestNote, TeamCache, TeamSlot, TextField,
    USER_AGENT_CHARS_MAX, VERSION_BYTES_MAX,
};
use crate::wire::query::FlagsQuery;
use crate::wire::request::FlagRequest;

/// Set by a proxy when a request reaches it.
static REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");

/// Status of a request that a limiter refuses; one that is only counted says so in its note.
const TOO_MANY_REQUESTS: u16 = StatusCode::TOO_MANY_REQUESTS.as_u16();

/// What watches requests.
#[derive(Debug)]
pub struct Observers {
    /// `None`: nothing is counted.
    pub metrics: Option<Box<RequestMetrics>>,
    /// `None`: nothing is logged.
    pub log: Option<Logger>,
    /// `None`: nothing is traced.
    pub tracer: Option<Tracer>,
}

/// What an observer knows of a request before it is handled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'r> {
    pub path: PathLabel,
    pub method: &'r Method,
    pub headers: &'r HeaderMap,
    pub peer: IpAddr,
    pub trusted_proxy_hops: usize,
    pub started: Instant,
}

impl Observers {
    /// As the settings say.
    #[must_use]
    pub fn new(settings: &TelemetrySettings) -> Self {
        Self {
            metrics: settings
                .enable_metrics
                .then(|| Box::new(RequestMetrics::new(settings.tracked_teams.clone()))),
            log: log::logger().filter(Logger::logs_requests),
            tracer: trace::tracer(),
        }
    }

    /// Whether anybody looks at requests.
    pub(super) fn is_watching(&self) -> bool {
        self.metrics.is_some() || self.log.is_some()
    }

    /// What an evaluation request writes to on its way.
    pub(super) fn note(&self) -> NoteLoan {
        NoteLoan::take(self.log.is_some(), self.metrics.is_some())
    }

    /// The end of a request that is not an evaluation.
    pub(super) fn end(&self, arrival: &Arrival<'_>, ending: &Ending) {
        if let Some(metrics) = &self.metrics {
            metrics.record(arrival.path, arrival.method.as_str(), ending);
        }
    }

    /// The end of an evaluation request.
    pub(super) fn end_flags(&self, arrival: &Arrival<'_>, note: &mut RequestNote, ending: &Ending) {
        if !self.is_watching() {
            return;
        }
        self.end(arrival, ending);
        note.rate_limited |= ending.status == TOO_MANY_REQUESTS;
        if let Some(start) = arrival.headers.get(&REQUEST_START) {
            note.queued = start.to_str().ok().and_then(|text| queued(text, ending.took));
        }
        if let Some(metrics) = &self.metrics {
            metrics.record_flags(note, ending);
        }
        if let Some(log) = &self.log {
            let failed = ending.status >= 400 || note.flags_errored > 0 || note.rate_limited;
            if log.wants(failed) {
                describe_client(note, arrival);
                log.request(note, *ending, arrival.started + ending.took);
            }
        }
    }

    /// The request's team is known.
    pub(super) fn found_team(&self, note: &mut RequestNote, snapshot: &ProjectSnapshot, from: TeamCache) {
        note.team_cache = Some(from);
        note.continuity_flags = snapshot.continuity_flags;
        note.device_flags = snapshot.device_flags;
        let slot = match &self.metrics {
            Some(metrics) => {
                let number = snapshot
                    .team_slot
                    .get_or_init(|| metrics.teams().slot(snapshot.team.id).0);
                TeamSlot(*number)
            }
            None => TeamSlot::UNKNOWN,
        };
        note.of_team(snapshot.team.id, slot);
    }

    /// Flags have been evaluated.
    pub(super) fn evaluated(
        &self,
        note: &mut RequestNote,
        request: &FlagRequest<'_>,
        snapshot: &ProjectSnapshot,
        report: &EvaluationReport,
        results: &[FlagResult],
    ) {
        note.evaluated = true;
        note.gathering = report.gathering;
        note.parallel = report.parallel_stages > 0;
        note.flags_evaluated = results.len() as u32;
        if report.errors {
            self.failed(note, results);
        }
        if let (Some(keys), Some(metrics)) = (request.flag_keys, &self.metrics) {
            let missing = keys.iter().filter(|key| match key {
                PropertyValue::Str(key) => snapshot.project.flag_by_key(key).is_none(),
                _ => false,
            });
            metrics.record_missing_keys(missing.count() as u64);
        }
    }

    #[cold]
    fn failed(&self, note: &mut RequestNote, results: &[FlagResult]) {
        let failed = results.iter().filter(|result| result.value == FlagValue::Failed);
        let for_want_of_another = |result: &&FlagResult| result.reason == Reason::MissingDependency;
        note.flags_errored = failed.clone().count() as u32;
        note.graph_errors = failed.filter(for_want_of_another).count() as u32;
        if let Some(metrics) = &self.metrics {
            metrics.record_failed_flags(results);
        }
    }
}

/// Keeps what the log line says of the client.
fn describe_client(note: &mut RequestNote, arrival: &Arrival<'_>) {
    let headers = arrival.headers;
    note.ip = Some(client_address(headers, arrival.peer, arrival.trusted_proxy_hops));
    if note.request_id.is_none() {
        note.request_id = Some(RequestId::of(headers).bytes());
    }
    if let Some(agent) = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()) {
        // Visible ASCII: a character is a byte.
        note.texts.set(TextField::UserAgent, agent, USER_AGENT_CHARS_MAX);
    }
}

/// Keeps what the log line says of a body.
pub(super) fn identify(note: &mut RequestNote, request: &FlagRequest<'_>, query: &FlagsQuery<'_>) {
    note.flags_disabled = request.disable_flags;
    if !note.logged {
        return;
    }
    let texts = &mut note.texts;
    if let Some(version) = &query.lib_version {
        texts.set(TextField::LibVersion, version, VERSION_BYTES_MAX);
    }
    for (field, text) in [
        (TextField::DistinctId, request.distinct_id),
        (TextField::DeviceId, request.device_id),
        (TextField::AnonDistinctId, request.anon_distinct_id),
    ] {
        if let Some(text) = text {
            texts.set(field, text, ID_BYTES_MAX);
        }
    }
}

/// How long a request was under way before it came here: `t=` and seconds, or the bare number (`http.md` 4.1).
fn queued(text: &str, took: Duration) -> Option<Duration> {
    let text = text.trim();
    let seconds: f64 = text.strip_prefix("t=").unwrap_or(text).parse().ok()?;
    let sent = Duration::try_from_secs_f64(seconds).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    // Clocks of two machines differ by a little: a request cannot have been sent after it came.
    Some(now.saturating_sub(took).saturating_sub(sent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_a_queue_is_read_from_either_notation() {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        for text in [format!("t={}", now - 2.5), format!(" {} ", now - 2.5)] {
            let time = queued(&text, Duration::ZERO).unwrap().as_secs_f64();
            assert!((2.4..3.5).contains(&time), "{time}");
        }
        assert_eq!(
            queued(&format!("t={}", now + 60.0), Duration::ZERO),
            Some(Duration::ZERO)
        );
        for text in ["", "t=", "t=-5", "yesterday", "NaN", "inf", "t=t=1"] {
            assert_eq!(queued(text, Duration::ZERO), None, "{text}");
        }
    }
}
