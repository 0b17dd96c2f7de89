//! Counts every request by route, method and status (`http.md` 17.1).

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

/// Patterns of routes, label `path`. The last one stands for everything else.
const PATHS: [&str; 14] = [
    "/flags",
    "/flags/",
    "/decide",
    "/decide/",
    "/flags/definitions",
    "/flags/definitions/",
    "/api/feature_flag/local_evaluation",
    "/api/feature_flag/local_evaluation/",
    "/",
    "/_readiness",
    "/_liveness",
    "/_startup",
    "/metrics",
    "unmatched",
];

/// Label `method`; the last one stands for everything else.
const METHODS: [&str; 8] = [
    "POST", "GET", "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE", "other",
];

/// Label `status`, and one more place for everything else.
const STATUSES: [u16; 14] = [
    200, 304, 400, 401, 402, 403, 404, 405, 413, 429, 431, 500, 503, 504,
];

/// The pattern that a request matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathLabel(u8);

impl PathLabel {
    /// `matched`: whether there is a route of that path in this process.
    #[must_use]
    pub fn of(path: &str, matched: bool) -> Self {
        let at = PATHS.iter().position(|known| *known == path).filter(|_| matched);
        Self(at.unwrap_or(PATHS.len() - 1) as u8)
    }

    /// The pattern.
    #[must_use]
    pub fn name(self) -> &'static str {
        PATHS.get(usize::from(self.0)).copied().unwrap_or("unmatched")
    }
}

/// Handles of one route, method and status, made when the first such answer is given.
#[derive(Debug)]
struct Handles {
    requests: Counter,
    seconds: Histogram,
}

/// See the module.
#[derive(Debug)]
pub struct HttpMetrics {
    handles: Box<[OnceLock<Handles>]>,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let combinations = PATHS.len() * METHODS.len() * (STATUSES.len() + 1);
        Self {
            handles: (0..combinations).map(|_| OnceLock::new()).collect(),
        }
    }
}

impl HttpMetrics {
    /// Counts an answer.
    pub fn record(&self, path: PathLabel, method: &str, status: u16, took: Duration) {
        let method_at = METHODS
            .iter()
            .position(|known| *known == method)
            .unwrap_or(METHODS.len() - 1);
        let status_at = STATUSES
            .iter()
            .position(|known| *known == status)
            .unwrap_or(STATUSES.len());
        let at = (usize::from(path.0) * METHODS.len() + method_at) * (STATUSES.len() + 1) + status_at;
        if let Some(handles) = self.handles.get(at) {
            let handles = handles.get_or_init(|| Handles::new(path, method_at, status_at));
            handles.requests.increment(1);
            handles.seconds.record(took.as_secs_f64());
        }
    }
}

impl Handles {
    #[cold]
    fn new(path: PathLabel, method: usize, status: usize) -> Self {
        let path = PATHS.get(usize::from(path.0)).copied().unwrap_or("unmatched");
        let method = METHODS.get(method).copied().unwrap_or("other");
        let status = STATUSES
            .get(status)
            .map_or_else(|| "other".to_owned(), ToString::to_string);
        Self {
            requests: counter!(
                "http_requests_total", "method" => method, "path" => path, "status" => status.clone()
            ),
            seconds: histogram!(
                "http_requests_duration_seconds", "method" => method, "path" => path, "status" => status
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_without_a_route_share_a_label() {
        assert_eq!(PathLabel::of("/flags/", true), PathLabel(1));
        let unmatched = PathLabel(13);
        assert_eq!(PathLabel::of("/flags//", false), unmatched);
        assert_eq!(PathLabel::of("/flags/definitions", false), unmatched);
    }
}
