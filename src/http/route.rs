//! Path and method to handler, and the order of checks on a flag route (`http.md` 1, 2.2).

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{EXPECT, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::admission::Admission;
use super::observe::Arrival;
use super::probes::{self, Probe};
use super::respond::{HttpError, Reply};
use super::{
    AppState, FlagsCall, admission, body, capture, cors, definitions, exposition, flags, minimal, trace,
    unwind,
};
use crate::config::ServiceMode;
use crate::span;
use crate::telemetry::trace::RequestTrace;
use crate::telemetry::{Ending, PathLabel, RequestNote};
use crate::wire::query::FlagsQuery;
use flags::Now;

const FLAGS_ALLOW: &str = "GET, POST, OPTIONS, HEAD";

/// Set by the proxy in front for `/decide`.
static X_ORIGINAL_ENDPOINT: HeaderName = HeaderName::from_static("x-original-endpoint");

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Flags { decide: bool },
    Definitions,
    Probe(Probe),
    Metrics,
    Unknown,
}

impl Route {
    /// Whether the process has the route at all.
    fn exists(self, state: &AppState) -> bool {
        match self {
            Self::Unknown => false,
            Self::Metrics => state.metrics.is_some(),
            Self::Flags { .. } | Self::Definitions | Self::Probe(_) => true,
        }
    }

    /// Exact and case-sensitive; one trailing slash is its own route, never a redirect (`http.md` 1).
    fn of(path: &str, mode: ServiceMode) -> Self {
        let route = match path {
            "/flags" | "/flags/" => Self::Flags { decide: false },
            "/decide" | "/decide/" => Self::Flags { decide: true },
            "/flags/definitions"
            | "/flags/definitions/"
            | "/api/feature_flag/local_evaluation"
            | "/api/feature_flag/local_evaluation/" => Self::Definitions,
            "/" => Self::Probe(Probe::Root),
            "/_readiness" => Self::Probe(Probe::Readiness),
            "/_liveness" => Self::Probe(Probe::Liveness),
            "/_startup" => Self::Probe(Probe::Startup),
            "/metrics" => Self::Metrics,
            _ => Self::Unknown,
        };
        match (route, mode) {
            (Self::Flags { .. }, ServiceMode::Definitions) | (Self::Definitions, ServiceMode::Flags) => {
                Self::Unknown
            }
            _ => route,
        }
    }
}

/// Answers one request. Never fails: whatever goes wrong is an answer.
pub async fn handle<B>(state: &AppState, peer: IpAddr, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let route = Route::of(parts.uri.path(), state.service_mode);
    let arrival = Arrival {
        path: PathLabel::of(parts.uri.path(), route.exists(state)),
        method: &parts.method,
        headers: &parts.headers,
        peer,
        trusted_proxy_hops: state.trusted_proxy_hops,
        started: started.into_std(),
    };
    if parts.method == Method::OPTIONS {
        let is_read_only = match route {
            Route::Probe(_) => true,
            Route::Metrics => state.metrics.is_some(),
            _ => false,
        };
        let allow = is_read_only.then_some(probes::ALLOW);
        state
            .observers
            .end(&arrival, &ending(state, StatusCode::OK, None, started));
        return cors::preflight(parts.headers, allow);
    }
    let is_evaluation = matches!(route, Route::Flags { .. });
    let mut note = is_evaluation.then(|| state.observers.note());
    let trace = match (&state.observers.tracer, route) {
        (Some(tracer), Route::Flags { .. } | Route::Definitions) => {
            trace::begin(tracer, &arrival, note.as_deref_mut())
        }
        _ => None,
    };
    let mut warned = false;
    let mut etag = None;
    let answered = unwind::catch(async {
        match (route, &mut note) {
            (Route::Flags { decide }, Some(note)) => {
                let arrived = Arrived {
                    peer,
                    decide,
                    started,
                    trace: trace.as_deref(),
                };
                flag_route(state, &parts, body, arrived, note, &mut warned).await
            }
            // Its state is not part of every request's.
            (Route::Definitions, _) => {
                let answering = Box::pin(definitions::answer(state, &parts, &mut etag));
                span::within(trace.as_deref().map(RequestTrace::scope), answering).await
            }
            (Route::Probe(probe), _) => {
                Ok(probes::answer(state, probe, &parts.method, parts.uri.query()).await)
            }
            (Route::Metrics, _) => Ok(exposition::answer(state, &parts.method).await),
            (Route::Unknown | Route::Flags { .. }, _) => Ok(Reply::not_found()),
        }
    })
    .await;
    let answered = answered.unwrap_or(Err(HttpError::Internal));
    let error_code = answered.as_ref().err().map(HttpError::code);
    let reply = answered.unwrap_or_else(HttpError::reply);
    let ending = ending(state, reply.status, error_code, started);
    match &mut note {
        Some(note) if parts.method == Method::POST => state.observers.end_flags(&arrival, note, &ending),
        _ => state.observers.end(&arrival, &ending),
    }
    if let Some(trace) = trace {
        trace::end(*trace, &arrival, note.as_deref_mut(), &ending);
    }
    let mut response = cors::respond(reply, parts.headers);
    if warned {
        admission::warn(&mut response);
    }
    if let Some(etag) = etag {
        definitions::validate(&mut response, etag);
    }
    response
}

fn ending(
    state: &AppState,
    status: StatusCode,
    error_code: Option<&'static str>,
    started: Instant,
) -> Ending {
    Ending {
        status: status.as_u16(),
        error_code,
        // A look at the clock that nobody asked for is left out.
        took: if state.observers.is_watching() {
            started.elapsed()
        } else {
            Duration::ZERO
        },
    }
}

/// How a request reached its route.
#[derive(Debug, Clone, Copy)]
struct Arrived<'t> {
    peer: IpAddr,
    /// By the path of the older endpoint.
    decide: bool,
    started: Instant,
    /// Of a sampled request.
    trace: Option<&'t RequestTrace>,
}

/// Query, body, method, in this order and for every method (`http.md` 2.2).
async fn flag_route<B>(
    state: &AppState,
    parts: &Parts,
    body: B,
    arrived: Arrived<'_>,
    note: &mut RequestNote,
    warned: &mut bool,
) -> Result<Reply, HttpError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let Arrived {
        peer,
        decide,
        started,
        trace,
    } = arrived;
    let deadline = started + state.request_timeout;
    let query = FlagsQuery::parse(parts.uri.query()).map_err(HttpError::Query)?;
    note.api_version = query.version;
    let call = FlagsCall {
        headers: &parts.headers,
        query: &query,
        is_decide: decide || asks_for_decide(parts),
        peer,
        trusted_proxy_hops: state.trusted_proxy_hops,
    };
    let expects_continue = parts.headers.contains_key(EXPECT);
    let mut admission = Admission::new(state, note.sampled, warned);
    // Before the body is read: a flood costs as little as it can (`decisions.md` 3). Only evaluation is limited.
    if parts.method == Method::POST
        && let Err(refused) = admission.client(&call)
    {
        body::discard_refused(body, expects_continue).await;
        return Err(refused);
    }
    let time_limit = state.body_read_timeout.min(state.request_timeout);
    let body = body::read(body, time_limit, expects_continue).await?;
    match parts.method {
        Method::POST => {}
        Method::GET => {
            return Ok(Reply::json(minimal::answer(
                query.version,
                &parts.headers,
                state.clock,
            )));
        }
        Method::HEAD => return Ok(Reply::json(Bytes::new())),
        _ => return Ok(Reply::method_not_allowed(FLAGS_ALLOW)),
    }
    // Handed over when the answer is known, so that the team is held by then.
    let _capture = capture::begin(state, parts, &call, &body);
    if note.sampled {
        note.before_handler = Some(started.elapsed());
    }
    admission.peek(&body)?;
    // The place is taken once the body is here, so that slow clients do not hold places.
    let mut is_dear = state.evaluation.fairness.is_large(body.len());
    if !is_dear && let Some(_place) = state.concurrency.try_acquire() {
        match flags::answer_now(state, &call, &body, &mut admission, note)? {
            Now::Answer(answer) => {
                note.admission = admission.times();
                return Ok(Reply::json(answer));
            }
            Now::Later => {}
            Now::Dear => is_dear = true,
        }
    }
    // Rare, and large: boxed, so that the future of every other request stays small.
    let later = Box::pin(async {
        let waiting = Instant::now();
        loop {
            // Dear requests wait outside, so that they do not take the places of all others.
            let _admitted = match is_dear {
                true => Some(state.evaluation.fairness.admit().await),
                false => None,
            };
            let _place = state.concurrency.acquire().await;
            note.place_wait = waiting.elapsed();
            match flags::answer_later(state, &call, &body, &mut admission, note, is_dear).await? {
                Some(answer) => return Ok(answer),
                None => is_dear = true,
            }
        }
    });
    let later = span::within(trace.map(RequestTrace::scope), later);
    let answered = timeout_at(deadline, later).await;
    note.admission = admission.times();
    match answered {
        Ok(answer) => answer.map(Reply::json),
        Err(_) => {
            note.timed_out = true;
            Err(HttpError::TimedOut)
        }
    }
}

/// The proxy in front marks `/decide` so; the value is compared with its case (`http.md` 9.1).
fn asks_for_decide(parts: &Parts) -> bool {
    parts
        .headers
        .get(&X_ORIGINAL_ENDPOINT)
        .is_some_and(|value| value == "decide")
}
