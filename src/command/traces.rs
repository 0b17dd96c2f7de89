//! From settings to tracing: the collector, and what all spans say of this process.

use std::sync::Arc;
use std::time::Duration;

use feature_flags::collector::{Address, OtlpClient, Protocol};
use feature_flags::config::otlp::pairs;
use feature_flags::config::{Config, LogLevel, OtlpProtocol};
use feature_flags::telemetry::trace::{self, Exporting, Resource, TraceSettings};

use super::Failure;

/// Starts tracing, before anything that handles requests is built; `None`: it is off.
///
/// # Errors
/// When the settings name no collector that could be.
pub fn start(config: &Config) -> Result<Option<Exporting>, Failure> {
    let Some(client) = client(config)? else {
        return Ok(None);
    };
    let telemetry = &config.telemetry;
    let settings = TraceSettings {
        ratio: telemetry.traces_sample_rate,
        export_timeout: telemetry.otel_export_timeout,
        resource: resource(config),
    };
    Ok(trace::install(settings, Arc::new(client)))
}

/// Exports what requests have left.
pub async fn finish(traces: Option<Exporting>) {
    if let Some(traces) = traces {
        traces.finish().await;
    }
}

/// Whether spans are wanted at all, all of which are info.
pub fn is_on(config: &Config) -> bool {
    let level = config.telemetry.otel_log_level;
    config.telemetry.otlp_endpoint.is_some() && matches!(level, LogLevel::Info | LogLevel::Debug)
}

/// Where spans go, and whether somebody takes them there.
///
/// # Errors
/// With words for people.
pub async fn examine(config: &Config, limit: Duration) -> Result<String, String> {
    let client = client(config).map_err(|failure| failure.to_string())?;
    match client {
        None => Ok("off".to_owned()),
        Some(client) => {
            let place = trace::Collector::place(&client).to_owned();
            match client.examine(limit).await {
                Ok(()) => Ok(format!("{place}: it takes traces")),
                Err(error) => Err(format!("{place}: {error}")),
            }
        }
    }
}

fn client(config: &Config) -> Result<Option<OtlpClient>, Failure> {
    let telemetry = &config.telemetry;
    let Some(endpoint) = telemetry.otlp_endpoint.as_ref().filter(|_| is_on(config)) else {
        return Ok(None);
    };
    let protocol = match telemetry.otlp_protocol {
        OtlpProtocol::ByPort => None,
        OtlpProtocol::Grpc => Some(Protocol::Grpc),
        OtlpProtocol::Http => Some(Protocol::Http),
    };
    let headers = telemetry
        .otlp_headers
        .as_ref()
        .map_or("", |headers| headers.expose());
    let headers = pairs(headers)
        .map_err(|expected| Failure::context("OTEL_EXPORTER_OTLP_HEADERS: expected", expected))?;
    let address = Address::new(endpoint, protocol, headers.iter())
        .map_err(|error| Failure::context("OTEL_EXPORTER_OTLP_ENDPOINT", error))?;
    Ok(Some(OtlpClient::new(address)))
}

/// Attributes by OpenTelemetry's conventions. What `OTEL_RESOURCE_ATTRIBUTES` says counts before ours; `OTEL_SERVICE_NAME` counts
/// before its `service.name`.
fn resource(config: &Config) -> Resource {
    let telemetry = &config.telemetry;
    let mut all = vec![("service.name".to_owned(), telemetry.otel_service_name.clone())];
    let own = [
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", uuid::Uuid::new_v4().to_string()),
        ("process.pid", std::process::id().to_string()),
        ("telemetry.sdk.name", env!("CARGO_PKG_NAME").to_owned()),
        ("telemetry.sdk.language", "rust".to_owned()),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let given = telemetry.otel_resource_attributes.iter();
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in given.chain(own) {
        if all.iter().all(|(known, _)| known != name) {
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    Resource(all)
}
