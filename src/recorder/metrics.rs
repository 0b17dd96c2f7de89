//! What is counted of a recording.

use metrics::{Counter, counter};

/// Requests that were sampled, by what became of them.
pub(super) struct RecorderMetrics {
    /// In the file.
    pub written: Counter,
    /// The queue was full.
    pub dropped: Counter,
    /// Not decodable, and so not redactable.
    pub undecodable: Counter,
    /// Of the file.
    pub bytes: Counter,
}

impl Default for RecorderMetrics {
    fn default() -> Self {
        let with =
            |result: &'static str| counter!("feature_flags_recorder_requests_total", "result" => result);
        Self {
            written: with("written"),
            dropped: with("dropped"),
            undecodable: with("undecodable"),
            bytes: counter!("feature_flags_recorder_bytes_total"),
        }
    }
}
