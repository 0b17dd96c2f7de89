//! What the machine allows: the address, open files, processors, and the location database.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use feature_flags::config::{Config, Origin, Setting};
use feature_flags::processors;
use feature_flags::store::geoip::{GeoDatabase, GeoOpenError};

use super::finding::{Finding, Level, from};
use crate::command::healthcheck;

/// Descriptors for everything that is not a connection of a client or a pool: Redis, S3, files, events.
const OTHER_FILES: u64 = 64;

/// Pools, each of `MAX_PG_CONNECTIONS`.
const POOLS: u64 = 4;

/// For a process that has the address already to say what it is.
const NEIGHBOUR_LIMIT: Duration = Duration::from_secs(1);

/// Limits that a start can run into; cheap enough for every start.
pub fn limits(config: &Config, settings: &[Setting]) -> Vec<Finding> {
    vec![open_files(config, settings), threads(config, settings)]
}

/// Whether the address can be listened on now.
pub fn address(config: &Config, settings: &[Setting]) -> Finding {
    let (address, from) = (config.server.address, from(settings, "ADDRESS"));
    match TcpListener::bind(address) {
        Ok(_) if address.port() == 0 => Finding::good("address", from, format!("{address}: any free port")),
        Ok(_) => Finding::good("address", from, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_ours(config) => Finding::bad(
            Level::Warning,
            "address",
            from,
            format!("a feature-flags process listens on {address}"),
            "nothing, if it is the one that is meant; another one needs another ADDRESS",
        ),
        Err(error) => Finding::bad(
            Level::Problem,
            "address",
            from,
            format!("cannot listen on {address}: {error}"),
            match error.kind() {
                io::ErrorKind::AddrInUse => "end what listens there, or set ADDRESS to another port",
                io::ErrorKind::PermissionDenied => "set ADDRESS to a port above 1023, or allow low ones",
                _ => "set ADDRESS to an address of this machine, such as 0.0.0.0:3001",
            },
        ),
    }
}

/// Whether a process that holds the address is one of these, such as the one in whose container this runs.
fn is_ours(config: &Config) -> bool {
    let url = healthcheck::default_url(config.server.address);
    healthcheck::get(&url, "/", NEIGHBOUR_LIMIT)
        .is_ok_and(|answer| answer.status == 200 && answer.body == "feature flags")
}

/// The file of locations. Absent at the default path nothing is enriched; at a path that was chosen, or when it
/// cannot be used, the start fails.
pub fn locations(config: &Config, settings: &[Setting]) -> Option<Finding> {
    let setting = settings
        .iter()
        .find(|setting| setting.variable.name == "MAXMIND_DB_PATH")?;
    let (path, chosen) = (&setting.shown, setting.origin != Origin::Default);
    let file = config.evaluation.geoip_path.as_deref();
    let from = from(settings, setting.variable.name);
    let Some(file) = file else {
        return Some(Finding::good("geoip", from, "off"));
    };
    Some(match GeoDatabase::open(file) {
        Ok(_) => Finding::good("geoip", from, format!("{path} can be used")),
        Err(GeoOpenError::Absent) if !chosen => Finding::bad(
            Level::Warning,
            "geoip",
            from,
            format!("{path}: {}", GeoOpenError::Absent),
            "requests get no $geoip_ properties; set MAXMIND_DB_PATH to a GeoLite2 City file, or to nothing",
        ),
        Err(error) => Finding::bad(
            Level::Problem,
            "geoip",
            from,
            format!("{path}: {error}"),
            "put a GeoLite2 City file there, or correct MAXMIND_DB_PATH; empty: none",
        ),
    })
}

fn open_files(config: &Config, settings: &[Setting]) -> Finding {
    let from = from(settings, "MAX_CONNECTIONS");
    let connections = config.server.max_connections as u64;
    let wanted = connections + POOLS * u64::from(config.database.connections_max) + OTHER_FILES;
    match std::fs::read_to_string("/proc/self/limits").map(|text| open_files_limit(&text)) {
        Ok(Some(limit)) if limit < wanted => Finding::bad(
            Level::Warning,
            "open files",
            from,
            format!("{limit} are allowed, and {connections} connections need {wanted}"),
            format!("raise the limit (ulimit -n {wanted}), or lower MAX_CONNECTIONS"),
        ),
        Ok(Some(limit)) => Finding::good("open files", from, format!("{limit} are allowed")),
        Ok(None) => Finding::good("open files", from, "no limit"),
        Err(error) => Finding::good("open files", from, format!("limit not known: {error}")),
    }
}

/// The soft limit in the text of `/proc/self/limits`; `None`: unlimited, or not told.
fn open_files_limit(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn threads(config: &Config, settings: &[Setting]) -> Finding {
    let from = from(settings, "THREAD_POOL_CORES");
    // Honours the quota of the control group and the processors that the process may run on.
    let allowed = processors::allowed();
    match config.server.worker_threads {
        0 => Finding::good(
            "threads",
            from,
            format!("{allowed}, as many as the processor quota allows"),
        ),
        chosen if chosen > allowed => Finding::bad(
            Level::Warning,
            "threads",
            from,
            format!("{chosen} threads, and the processor quota allows {allowed}"),
            "set THREAD_POOL_CORES=0, or raise the quota: threads beyond it are throttled",
        ),
        chosen => Finding::good(
            "threads",
            from,
            format!("{chosen}, the processor quota allows {allowed}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::open_files_limit;

    #[test]
    fn the_soft_limit_counts() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max processes             1                    2                    processes\n\
                    Max open files            1024                 524288               files\n";
        assert_eq!(open_files_limit(text), Some(1024));
        assert_eq!(
            open_files_limit("Max open files            unlimited   unlimited files"),
            None
        );
        assert_eq!(open_files_limit(""), None);
    }
}
