//! `/metrics`: the text form of everything recorded, when metrics are enabled; otherwise there is no such route (`http.md` 14).

use bytes::Bytes;
use hyper::{Method, StatusCode};

use super::probes::ALLOW;
use super::respond::{Content, HttpError, Reply};
use crate::telemetry::metrics::Exporter;

/// Answers GET and HEAD. The text is written on a thread that serves no requests.
pub(super) async fn answer(exporter: Option<&Exporter>, method: &Method) -> Reply {
    let Some(exporter) = exporter else {
        return Reply::not_found();
    };
    if method != Method::GET && method != Method::HEAD {
        return Reply::method_not_allowed(ALLOW);
    }
    let exporter = exporter.clone();
    match tokio::task::spawn_blocking(move || exporter.render()).await {
        Ok(text) => Reply {
            status: StatusCode::OK,
            content: Content::Metrics,
            allow: None,
            body: Bytes::from(text),
        },
        Err(_) => HttpError::Internal.reply(),
    }
}
