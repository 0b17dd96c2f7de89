//! `/`, `/_readiness`, `/_liveness`, `/_startup` (`http.md` 14). GET and HEAD run the same code; the
//! connection drops the body of an answer to HEAD.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::AppState;
use super::respond::Reply;
use crate::telemetry::Readiness;
use crate::telemetry::log::secrets;

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

pub(super) async fn answer(state: &AppState, probe: Probe, method: &Method, query: Option<&str>) -> Reply {
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
        Probe::Readiness if is_verbose(query) => verbose(state).await,
        Probe::Readiness => {
            let readiness = state.readiness.ask(state.request_timeout).await;
            let code = status_of(&readiness);
            match readiness {
                Readiness::Ready => Reply::text(code, "ready"),
                Readiness::Draining => Reply::text(code, "draining"),
                Readiness::StoreUnavailable(summary) => Reply::text(code, summary),
            }
        }
    }
}

fn status_of(readiness: &Readiness) -> StatusCode {
    match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::Draining | Readiness::StoreUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// `?verbose`, with any value but `false` and `0`.
fn is_verbose(query: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        name == "verbose" && value != "false" && value != "0"
    })
}

/// Every check, also where checks do not decide, and how old what is held may be (`decisions.md` 14).
async fn verbose(state: &AppState) -> Reply {
    let (readiness, reports) = state.readiness.ask_all(state.request_timeout).await;
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let checks: Vec<Value> = reports
        .iter()
        .map(|report| {
            let mut check = json!({
                "name": report.name,
                "ok": report.problem.is_none(),
                "took_ms": milliseconds(report.took),
            });
            if let Some(problem) = &report.problem {
                check["summary"] = json!(problem.summary);
                check["error"] = json!(secrets(&problem.detail));
            }
            check
        })
        .collect();
    let snapshots = &state.snapshots;
    let body = json!({
        "status": readiness.name(),
        "checks": checks,
        "snapshots": {
            "held": snapshots.len(),
            "bytes": snapshots.held_bytes(),
            "oldest_used_age_ms": snapshots.oldest_age().map(milliseconds),
        },
        "version": env!("CARGO_PKG_VERSION"),
    });
    Reply {
        status: status_of(&readiness),
        ..Reply::json(Bytes::from(body.to_string()))
    }
}
