//! The collector of traces: whether it takes them. Requests do not need it, so that it is never more than a warning.

use std::time::Duration;

use feature_flags::config::{Config, Setting};

use super::finding::{Finding, Level, from};
use crate::command::traces;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Sends a message without spans; `None`: nothing is traced, because nobody asked for it.
pub async fn finding(config: &Config, settings: &[Setting], limit: Duration) -> Option<Finding> {
    config.telemetry.otlp_endpoint.as_ref()?;
    if !traces::is_on(config) {
        let said = "off: all spans are info";
        return Some(Finding::good("traces", from(settings, "OTEL_LOG_LEVEL"), said));
    }
    let from = from(settings, ENDPOINT);
    Some(match traces::examine(config, limit).await {
        Ok(said) => Finding::good("traces", from, said),
        Err(said) => Finding::bad(
            Level::Warning,
            "traces",
            from,
            said,
            format!(
                "start it, or correct {ENDPOINT}, OTEL_EXPORTER_OTLP_PROTOCOL or OTEL_EXPORTER_OTLP_HEADERS; traces are dropped until then"
            ),
        ),
    })
}
