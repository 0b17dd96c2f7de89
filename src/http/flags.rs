//! `POST /flags` and `POST /decide`: decode, authenticate, snapshot, evaluate, encode.

mod identity;
mod token;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::admission::Admission;
use super::clock::milliseconds;
use super::config_fields::config_part;
use super::observe::identify;
use super::request_id::RequestId;
use super::scratch::{Loan, RequestScratch};
use super::user_agent::UserAgent;
use super::{AppState, FlagsCall, HttpError};
use crate::context::geo::GeoProperties;
use crate::engine::{FlagResult, Instant};
use crate::evaluation::{
    EvaluationError, EvaluationReport, RequestScope, Scratch, Turn, evaluate, evaluate_now, is_dear,
};
use crate::quota::{RequestType, Resource};
use crate::snapshot::{LoadError, LookupError, ProjectSnapshot};
use crate::span;
use crate::telemetry::{RequestNote, Stage, TeamCache};
use crate::wire::request::FlagRequest;
use crate::wire::response::{Answer, Envelope, OVERHANG_BYTES, Shape, SlicedEncoding, encode};
use crate::wire::{BodyFormat, Kludges, decode};

use identity::{cookieless_identity, is_cookieless};
use token::token;

/// An unusually large answer does not make later ones reserve as much.
const ANSWER_BYTES_EXPECTED_MAX: usize = 256 * 1024;

/// Bytes of a detailed record, roughly.
const RECORD_BYTES_EXPECTED: usize = 320;

/// What an answer says besides the flags.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    /// When it was evaluated.
    now: Instant,
    /// Some flag could not be evaluated as it should.
    errors: bool,
    /// The project is over its quota, and nothing was evaluated.
    quota_limited: bool,
}

/// What came of a request without waiting.
pub(super) enum Now {
    Answer(Bytes),
    /// It has to wait for something.
    Later,
    /// It is dear, and has to take turns.
    Dear,
}

/// Answers an evaluation request (`http.md` 8.1) that needs no waiting: the team is held, it is not dear, and nothing stored decides the answer.
///
/// This is the path of nearly every request, and it is not a future: the state of one would be moved several
/// times on its way to the connection, some 5 KB each time.
pub(super) fn answer_now(
    state: &AppState,
    call: &FlagsCall<'_>,
    body: &[u8],
    admission: &mut Admission<'_>,
    note: &mut RequestNote,
) -> Result<Now, HttpError> {
    let timed = note.timed;
    note.stages.begin(timed);
    let mut loan = Loan::take();
    let RequestScratch {
        decode: memory,
        evaluation,
        answer_bytes,
    } = &mut *loan;
    let decoded = decode(memory, body, body_format(call), &mut note.kludges);
    if note.kludges.missing_data_prefix {
        note.client_type = Some(UserAgent::of(call.headers).library.name());
    }
    let decoded = decoded.map_err(|error| admission.undecodable(call, error))?;
    let request = decoded.request();
    identify(note, &request, call.query);
    note.stages.end(Stage::Decode);
    let token = token(request.token, call, admission)?;
    let Some(snapshot) = state.snapshots.get(token) else {
        return Ok(Now::Later);
    };
    state.observers.found_team(note, &snapshot, TeamCache::Held);
    note.stages.end(Stage::Snapshot);
    let now = state.clock.now();
    evaluation.clear();
    let mut outcome = Outcome {
        now,
        errors: false,
        quota_limited: is_limited(state, &request, token)?,
    };
    if !request.disable_flags && !outcome.quota_limited {
        if is_cookieless(state, &request, &snapshot) {
            return Ok(Now::Later);
        }
        let agent = UserAgent::of(call.headers);
        let location = location(state, call, &request, &snapshot);
        let scope = scope(&agent, call, now, location.as_ref());
        let report = evaluate_now(&snapshot.project, &request, &scope, &state.evaluation, evaluation);
        let Some(report) = report else {
            let dear = is_dear(&snapshot.project, &request, &scope, &state.evaluation, evaluation);
            return Ok(if dear { Now::Dear } else { Now::Later });
        };
        count(state, &snapshot, &agent, &report, now);
        count_difference(state, &report);
        outcome.errors = report.errors;
        state
            .observers
            .evaluated(note, &request, &snapshot, &report, evaluation.results());
    }
    note.stages.end(Stage::Evaluate);
    let answer = write(state, &snapshot, call, outcome, evaluation, answer_bytes, note);
    note.stages.end(Stage::Encode);
    Ok(Now::Answer(answer))
}

/// Answers anything, but `None` when the request is found to be dear and was not admitted as such. Starts over, with the body that [`answer_now`] left as it was: what waiting costs makes a
/// second decoding small, and only its own future has to hold the state.
pub(super) async fn answer_later(
    state: &AppState,
    call: &FlagsCall<'_>,
    body: &[u8],
    admission: &mut Admission<'_>,
    note: &mut RequestNote,
    admitted: bool,
) -> Result<Option<Bytes>, HttpError> {
    let timed = note.timed;
    note.stages.begin(timed);
    let mut loan = Loan::take();
    let RequestScratch {
        decode: memory,
        evaluation,
        answer_bytes,
    } = &mut *loan;
    note.kludges = Kludges::default();
    let mut decoding = None;
    if state.evaluation.fairness.is_large(body.len()) {
        let turn = decoding.insert(state.evaluation.fairness.turn().await);
        turn.slice().await;
    }
    let decoded = decode(memory, body, body_format(call), &mut note.kludges);
    if note.kludges.missing_data_prefix {
        note.client_type = Some(UserAgent::of(call.headers).library.name());
    }
    let decoded = decoded.map_err(|error| admission.undecodable(call, error))?;
    if let Some(turn) = decoding {
        turn.end().await;
    }
    let cookieless_id;
    let mut request = decoded.request();
    identify(note, &request, call.query);
    note.stages.end(Stage::Decode);
    let token = token(request.token, call, admission)?;
    let from = note.team_cache.unwrap_or(TeamCache::Loaded);
    let loading = async { state.snapshots.get_or_load(token).await.map_err(lookup_error) };
    let snapshot = span::stage(Stage::Snapshot.name(), loading, HttpError::code).await?;
    state.observers.found_team(note, &snapshot, from);
    note.tier = Some(state.snapshots.tier_of(token).name());
    note.stages.end(Stage::Snapshot);
    let now = state.clock.now();
    evaluation.clear();
    let mut outcome = Outcome {
        now,
        errors: false,
        quota_limited: is_limited(state, &request, token)?,
    };
    if !request.disable_flags && !outcome.quota_limited {
        if is_cookieless(state, &request, &snapshot) {
            cookieless_id = cookieless_identity(state, call, &request, &snapshot, now).await?;
            request.distinct_id = Some(&cookieless_id);
        }
        let agent = UserAgent::of(call.headers);
        let location = location(state, call, &request, &snapshot);
        let scope = scope(&agent, call, now, location.as_ref());
        if !admitted && is_dear(&snapshot.project, &request, &scope, &state.evaluation, evaluation) {
            return Ok(None);
        }
        let evaluated = evaluate(
            &snapshot.project,
            snapshot.team.id,
            &request,
            &scope,
            &*state.persons,
            &state.evaluation,
            evaluation,
        );
        let report =
            evaluated
                .await
                .map_err(|EvaluationError::Busy { waited }| HttpError::EvaluationBusy {
                    waited_ms: waited.as_millis() as u64,
                })?;
        count(state, &snapshot, &agent, &report, now);
        count_difference(state, &report);
        outcome.errors = report.errors;
        state
            .observers
            .evaluated(note, &request, &snapshot, &report, evaluation.results());
    }
    note.stages.end(Stage::Evaluate);
    let waited = [note.gathering.facts, note.gathering.continuity];
    let waited = waited.into_iter().flatten().sum();
    note.stages.shift(Stage::Evaluate, Stage::Gather, waited);
    let answer = match evaluation.take_turn() {
        Some(turn) => {
            let results = evaluation.results();
            write_in_slices(state, &snapshot, call, outcome, results, note, turn).await
        }
        None => write(state, &snapshot, call, outcome, evaluation, answer_bytes, note),
    };
    note.stages.end(Stage::Encode);
    Ok(Some(answer))
}

fn body_format<'h>(call: &FlagsCall<'h>) -> BodyFormat<'h> {
    BodyFormat {
        // A header that is not visible ASCII counts as absent (`http.md` 4.1).
        content_type: text(call.headers, &CONTENT_TYPE),
        content_encoding: text(call.headers, &CONTENT_ENCODING),
        compression: call.query.compression,
    }
}

/// Where the request comes from, if some flag looks at that and the sender does not object (`http.md` 6.3).
#[inline]
fn location<'s>(
    state: &'s AppState,
    call: &FlagsCall<'_>,
    request: &FlagRequest<'_>,
    snapshot: &ProjectSnapshot,
) -> Option<GeoProperties<'s>> {
    let geo = state.geo.as_ref()?;
    if request.geoip_disable || snapshot.project.location().is_none() {
        return None;
    }
    Some(geo.locate(call.client_address()))
}

fn count_difference(state: &AppState, report: &EvaluationReport) {
    if let Some(geo) = &state.geo
        && report.location_differs
    {
        geo.count_difference();
    }
}

/// Whether the project is over its quota. Not asked with `disable_flags`; a request for flags needs a distinct id first
/// (`http.md` 8.1).
fn is_limited(state: &AppState, request: &FlagRequest<'_>, token: &str) -> Result<bool, HttpError> {
    if request.disable_flags {
        return Ok(false);
    }
    if request.distinct_id.is_none() {
        return Err(HttpError::MissingDistinctId);
    }
    Ok(state.quota.is_limited(Resource::FeatureFlags, token))
}

fn scope<'a>(
    agent: &UserAgent<'_>,
    call: &FlagsCall<'_>,
    now: Instant,
    location: Option<&'a GeoProperties<'a>>,
) -> RequestScope<'a> {
    RequestScope {
        runtime: agent.runtime,
        survey_only: call.query.only_evaluate_survey_feature_flags,
        now,
        location,
    }
}

/// Counts an evaluated request, if a flag that is billed took part in it.
fn count(
    state: &AppState,
    snapshot: &ProjectSnapshot,
    agent: &UserAgent<'_>,
    report: &EvaluationReport,
    now: Instant,
) {
    if report.billable {
        let team_id = snapshot.team.id;
        state
            .quota
            .record(RequestType::Decide, team_id, agent.library, now.seconds);
    }
}

/// Writes the last evaluation's records in the shape that is asked for.
fn write(
    state: &AppState,
    snapshot: &ProjectSnapshot,
    call: &FlagsCall<'_>,
    outcome: Outcome,
    evaluation: &Scratch,
    answer_bytes: &mut usize,
    note: &mut RequestNote,
) -> Bytes {
    let request_id = RequestId::of(call.headers);
    note.request_id = Some(request_id.bytes());
    let envelope = envelope(state, snapshot, call, outcome, &request_id);
    let answer = Answer {
        fragments: &snapshot.fragments,
        results: evaluation.results(),
    };
    // The answer leaves in the buffer that it is written to: the one allocation here, of the size that the
    // last answer of this scratch took.
    let mut out = Vec::with_capacity(*answer_bytes + OVERHANG_BYTES);
    let shape = Shape::choose(call.is_decide, call.query.version);
    encode(shape, Some(answer), &envelope, &mut out);
    *answer_bytes = out.len().min(ANSWER_BYTES_EXPECTED_MAX);
    Bytes::from(out)
}

/// The same for a dear request, in its turn.
async fn write_in_slices(
    state: &AppState,
    snapshot: &ProjectSnapshot,
    call: &FlagsCall<'_>,
    outcome: Outcome,
    results: &[FlagResult],
    note: &mut RequestNote,
    mut turn: Turn,
) -> Bytes {
    let request_id = RequestId::of(call.headers);
    note.request_id = Some(request_id.bytes());
    let envelope = envelope(state, snapshot, call, outcome, &request_id);
    let answer = Answer {
        fragments: &snapshot.fragments,
        results,
    };
    let expected = results.len().saturating_mul(RECORD_BYTES_EXPECTED);
    let mut out = Vec::with_capacity(expected.min(ANSWER_BYTES_EXPECTED_MAX));
    let shape = Shape::choose(call.is_decide, call.query.version);
    let mut encoding = SlicedEncoding::new(shape, answer, &envelope);
    loop {
        turn.slice().await;
        if encoding.step(&mut out) {
            break;
        }
    }
    turn.end().await;
    Bytes::from(out)
}

#[inline]
fn envelope<'e>(
    state: &'e AppState,
    snapshot: &'e ProjectSnapshot,
    call: &FlagsCall<'_>,
    outcome: Outcome,
    request_id: &'e RequestId,
) -> Envelope<'e> {
    Envelope {
        request_id: request_id.as_str(),
        evaluated_at: milliseconds(outcome.now),
        errors: outcome.errors,
        quota_limited: outcome.quota_limited,
        minimal_flag_called_events: snapshot.team.minimal_flag_called_events,
        config: config_part(state, call, snapshot),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &hyper::header::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// An outage is never "invalid token" (`http.md` 7.2).
pub(super) fn lookup_error(error: LookupError) -> HttpError {
    match error {
        LookupError::UnknownToken => HttpError::UnknownToken,
        LookupError::Busy => HttpError::ServiceUnavailable,
        LookupError::Load(LoadError::Unavailable(_)) => HttpError::DatabaseUnavailable,
        LookupError::Load(LoadError::Timeout) => HttpError::DatabaseTimeout,
        LookupError::Load(LoadError::CacheUnreadable(_)) => HttpError::CacheUnreadable,
        LookupError::Load(LoadError::Corrupt(_)) => HttpError::DataUnreadable,
        LookupError::Load(LoadError::Failed(_)) => HttpError::DatabaseError,
        LookupError::Load(LoadError::NotCached) => HttpError::CacheMissing,
    }
}
