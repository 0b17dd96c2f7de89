//! `dev`: serve from one SQLite file, with a sample project if it is empty.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use feature_flags::config::Config;
use feature_flags::processors::Threads;
use feature_flags::server::{Server, runtime};
use feature_flags::store::embedded::{ProjectName as Project, SAMPLE_PROJECT};
use feature_flags::telemetry::metrics;

use super::embedded::Embedded;
use super::{Failure, geoip, import, log, service, start, traces};
use crate::cli::Dev;

/// Projects that are announced by name; a store may hold thousands.
const ANNOUNCED_MAX: usize = 10;

/// Serves until told to stop.
pub fn run(arguments: &Dev) -> Result<ExitCode, Failure> {
    let (mut config, _) = start::read()?;
    if let Some(address) = arguments.address {
        config.server.address = address;
    }
    if config.telemetry.enable_metrics {
        // Before anything that keeps handles is built.
        metrics::install();
    }
    log::install(&config, true);
    let runtime = runtime::build(Threads::of(&config).runtime)
        .map_err(|error| Failure::context("cannot start threads", error))?;
    let result = runtime.block_on(serve(arguments, &config));
    // Nothing that still runs is owed an end: requests have been drained, or a second signal came.
    runtime.shutdown_background();
    result
}

async fn serve(arguments: &Dev, config: &Config) -> Result<ExitCode, Failure> {
    let geo = geoip::open(config)?;
    let document = arguments.project.as_deref().map(import::read_file).transpose()?;
    let store = Embedded::open(arguments.store.as_deref())?;
    if let Some(document) = document {
        store.import(&document)?;
    } else if store.projects().await?.is_empty() {
        store.import(SAMPLE_PROJECT.as_bytes())?;
    }
    let traces = traces::start(config)?;
    let app = store.app_state(config, geo);
    let quota = store.quota_tasks(config, &app);
    let server = Server::bind(&config.server).await.map_err(|error| {
        let address = config.server.address;
        Failure::context(
            format_args!("cannot listen on {address} (--address chooses another)"),
            error,
        )
    })?;
    let address = server
        .local_addr()
        .map_err(|error| Failure::context("cannot read the address", error))?;
    let signals = service::signals()?;
    print!("{}", announcement(address, &store.projects().await?));
    Ok(service::serve(server, app, quota, traces, signals).await)
}

/// Where the server is, whom it serves, and a line to try.
fn announcement(address: SocketAddr, projects: &[Project]) -> String {
    let url = format!("http://{}", reachable(address));
    let mut text = format!("feature-flags listening on {url}\n");
    for Project { name, token } in projects.iter().take(ANNOUNCED_MAX) {
        let _ = writeln!(text, "project {name}: token {token}");
    }
    if projects.len() > ANNOUNCED_MAX {
        let _ = writeln!(text, "and {} more projects", projects.len() - ANNOUNCED_MAX);
    }
    if let Some(Project { token, .. }) = projects.first() {
        let body = serde_json::json!({ "token": token, "distinct_id": "user-1" }).to_string();
        let _ = writeln!(
            text,
            "try: curl -s '{url}/flags?v=2' -H 'content-type: application/json' -d '{}'",
            body.replace('\'', r"'\''")
        );
    }
    text
}

/// An address that a client on this machine can use when the server listens on all of them.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::{Project, SAMPLE_PROJECT, announcement};

    #[test]
    fn the_announcement_can_be_pasted_into_a_shell() {
        let projects = [
            Project {
                name: "Shop".into(),
                token: "phc_it's".into(),
            },
            Project {
                name: "Blog".into(),
                token: "phc_b".into(),
            },
        ];
        assert_eq!(
            announcement("0.0.0.0:3001".parse().unwrap(), &projects),
            "feature-flags listening on http://127.0.0.1:3001\n\
             project Shop: token phc_it's\n\
             project Blog: token phc_b\n\
             try: curl -s 'http://127.0.0.1:3001/flags?v=2' -H 'content-type: application/json' \
             -d '{\"distinct_id\":\"user-1\",\"token\":\"phc_it'\\''s\"}'\n"
        );
    }

    #[test]
    fn a_store_without_projects_has_nothing_to_try() {
        let text = announcement("[::1]:80".parse().unwrap(), &[]);
        assert_eq!(text, "feature-flags listening on http://[::1]:80\n");
    }

    #[test]
    fn the_sample_project_has_a_token_and_flags() {
        let sample: serde_json::Value = serde_json::from_str(SAMPLE_PROJECT).unwrap();
        assert!(sample["team"]["api_token"].as_str().unwrap().starts_with("phc_"));
        let keys: Vec<_> = sample["flags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|flag| &flag["key"])
            .collect();
        assert!(keys.len() >= 3 && keys.iter().all(|key| key.is_string()));
    }
}
