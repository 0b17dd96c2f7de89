use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Config, ServiceMode, Source, TeamSet, variables};

fn read(pairs: &[(&'static str, &'static str)]) -> Result<Config, super::ConfigError> {
    let source: HashMap<&str, &str> = pairs.iter().copied().collect();
    Config::read(&source)
}

struct Recording(RefCell<Vec<String>>);

impl Source for Recording {
    fn get(&self, name: &str) -> Option<String> {
        self.0.borrow_mut().push(name.to_owned());
        None
    }
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = read(&[]).unwrap();
    assert_eq!(config.server.address.to_string(), "127.0.0.1:3001");
    assert_eq!(config.server.service_mode, ServiceMode::All);
    assert_eq!(config.concurrency.max_concurrency, 1000);
    assert_eq!(config.concurrency.request_timeout, Duration::from_millis(4500));
    assert_eq!(config.evaluation.parallel_wait, Duration::from_millis(250));
    assert_eq!(config.redis.response_timeout, Some(Duration::from_millis(100)));
    assert_eq!(config.telemetry.tracked_teams, TeamSet::All);
    assert!(config.rate_limit.ip_log_only && config.rate_limit.token_log_only);
    assert!(!config.definitions.log_only);
}

#[test]
fn the_list_of_variables_is_what_is_read() {
    let source = Recording(RefCell::new(Vec::new()));
    Config::read(&source).unwrap();
    let read = source.0.into_inner();
    let listed: Vec<&str> = variables().map(|variable| variable.name).collect();
    assert_eq!(read, listed);
    assert_eq!(
        listed.iter().collect::<HashSet<_>>().len(),
        listed.len(),
        "a variable is read twice"
    );
    assert!(variables().all(|variable| !variable.meaning.is_empty()));
}

#[test]
fn all_errors_are_reported_at_once() {
    let error = read(&[
        ("ADDRESS", "nowhere"),
        ("MAX_CONCURRENCY", "0"),
        ("DEBUG", "maybe"),
    ])
    .unwrap_err();
    let text = error.to_string();
    assert_eq!(error.invalid.len(), 3);
    assert!(
        text.contains("ADDRESS=\"nowhere\": expected an IP address and port"),
        "{text}"
    );
    assert!(
        text.contains("MAX_CONCURRENCY=\"0\": expected a number from 1 to"),
        "{text}"
    );
    assert!(text.contains("DEBUG=\"maybe\": expected true"), "{text}");
}

#[test]
fn booleans_are_flexible_everywhere() {
    for (text, expected) in [
        (" TRUE ", true),
        ("1", true),
        ("Yes", true),
        ("on", true),
        ("0", false),
        ("", false),
        ("OFF", false),
    ] {
        let source = HashMap::from([("ENABLE_METRICS", text)]);
        assert_eq!(
            Config::read(&source).unwrap().telemetry.enable_metrics,
            expected,
            "{text:?}"
        );
    }
}

#[test]
fn passwords_show_in_no_message_and_no_debug_form() {
    let error = read(&[("WRITE_DATABASE_URL", "mysql://u:hunter2@h/db")]).unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
    let config = read(&[("REDIS_URL", "redis://:hunter2@h/")]).unwrap();
    assert_eq!(config.redis.url.expose(), "redis://:hunter2@h/");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn limits_that_can_never_refill_stop_the_start() {
    for name in [
        "FLAGS_BUCKET_CAPACITY",
        "FLAGS_IP_BURST_SIZE",
        "FLAGS_BUCKET_REPLENISH_RATE",
    ] {
        let source = HashMap::from([(name, "0")]);
        assert_eq!(Config::read(&source).unwrap_err().invalid[0].name, name);
    }
}

#[test]
fn zero_means_no_limit_only_where_it_is_said() {
    let config = read(&[("REDIS_RESPONSE_TIMEOUT_MS", "0")]).unwrap();
    assert_eq!(config.redis.response_timeout, None);
    assert!(read(&[("REDIS_RESPONSE_TIMEOUT_MS", "30001")]).is_err());
    assert!(read(&[("REQUEST_TIMEOUT_MS", "0")]).is_err());
}

#[test]
fn what_an_operator_should_know_is_a_warning() {
    assert!(read(&[]).unwrap().warnings().is_empty());
    let config = read(&[("FLAG_DEFINITIONS_RATE_LIMITS", r#"{"7": "x"}"#)]).unwrap();
    let warnings = config.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("\"7\""));
}
