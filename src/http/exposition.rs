//! `/metrics`: the text form of everything recorded, when metrics are enabled; otherwise there is no such route (`http.md` 14).

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Method, StatusCode};

use super::AppState;
use super::probes::ALLOW;
use super::respond::{Content, HttpError, Reply};
use crate::telemetry::metrics::process;

/// Answers GET and HEAD. The text is written on a thread that serves no requests, and so are gauges that are set only when
/// somebody looks.
pub(super) async fn answer(state: &AppState, method: &Method) -> Reply {
    let Some(exporter) = &state.metrics else {
        return Reply::not_found();
    };
    if method != Method::GET && method != Method::HEAD {
        return Reply::method_not_allowed(ALLOW);
    }
    let (exporter, snapshots) = (exporter.clone(), Arc::clone(&state.snapshots));
    let write = move || {
        snapshots.publish_gauges();
        process::publish_gauges();
        exporter.render()
    };
    match tokio::task::spawn_blocking(write).await {
        Ok(text) => Reply {
            status: StatusCode::OK,
            content: Content::Metrics,
            allow: None,
            body: Bytes::from(text),
        },
        Err(_) => HttpError::Internal.reply(),
    }
}
