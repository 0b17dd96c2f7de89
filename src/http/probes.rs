//! `/`, `/_readiness`, `/_liveness`, `/_startup` (`http.md` 14). GET and HEAD run the same code; the
//! connection drops the body of an answer to HEAD.

use hyper::{Method, StatusCode};
use tokio::time::Instant;

use super::AppState;
use super::respond::Reply;
use crate::telemetry::Readiness;

/// No blank after the comma (`http.md` 2.2).
pub(super) const ALLOW: &str = "GET,HEAD";

/// A probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// Names the service, touches nothing.
    Root,
    /// Whether requests should be sent here.
    Readiness,
    /// Whether the process should be left running.
    Liveness,
    /// Whether start-up is over.
    Startup,
}

pub(super) async fn answer(state: &AppState, probe: Probe, method: &Method) -> Reply {
    if method != Method::GET && method != Method::HEAD {
        return Reply::method_not_allowed(ALLOW);
    }
    match probe {
        Probe::Root => Reply::text(StatusCode::OK, "feature flags"),
        Probe::Startup => Reply::text(StatusCode::OK, "started"),
        Probe::Liveness => {
            let status = state.heartbeat.status(Instant::now());
            let code = if status.healthy {
                StatusCode::OK
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            Reply::text(code, status.to_string())
        }
        Probe::Readiness => match state.readiness.ask(state.request_timeout).await {
            Readiness::Ready => Reply::text(StatusCode::OK, "ready"),
            Readiness::Draining => Reply::text(StatusCode::SERVICE_UNAVAILABLE, "draining"),
            Readiness::StoreUnavailable(error) => Reply::text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("store unavailable: {error}"),
            ),
        },
    }
}
