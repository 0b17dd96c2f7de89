use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Config, Origin, ServiceMode, Source, TeamSet, variables};

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
    let listed: Vec<&str> = variables()
        .flat_map(|variable| std::iter::once(variable.name).chain(variable.file))
        .collect();
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

#[test]
fn every_credential_and_nothing_else_has_a_file_form() {
    for variable in variables() {
        let secret = variable.name.ends_with("DATABASE_URL")
            || variable.name.ends_with("REDIS_URL")
            || variable.name.ends_with("REDIS_READER_URL")
            || variable.name == "OTEL_EXPORTER_OTLP_HEADERS"
            || variable.name == "RECORDER_HASH_KEY";
        assert_eq!(variable.is_secret(), secret, "{}", variable.name);
        let file = secret.then(|| format!("{}_FILE", variable.name));
        assert_eq!(variable.file, file.as_deref());
    }
}

fn file(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[test]
fn a_file_gives_the_value_without_its_line_end() {
    for (text, expected) in [
        ("redis://:p@h/", "redis://:p@h/"),
        ("redis://:p@h/\n", "redis://:p@h/"),
        ("redis://:p@h/\r\n", "redis://:p@h/"),
        ("redis://:p@h/ \n\n", "redis://:p@h/ \n"),
    ] {
        let (_file, path) = file(text);
        let source = HashMap::from([("REDIS_URL_FILE", path.as_str()), ("REDIS_URL", "")]);
        let reading = Config::read_all(&source);
        assert_eq!(
            reading.setting("REDIS_URL").unwrap().origin,
            Origin::File(path.into())
        );
        assert_eq!(
            reading.setting("REDIS_URL").unwrap().decided_by(),
            "REDIS_URL_FILE"
        );
        assert_eq!(reading.config.unwrap().redis.url.expose(), expected);
    }
}

#[test]
fn a_value_and_a_file_together_are_an_error_that_names_both() {
    let (_file, path) = file("redis://h/");
    let source = HashMap::from([
        ("REDIS_URL_FILE", path.as_str()),
        ("REDIS_URL", "redis://:hunter2@h/"),
    ]);
    let text = Config::read(&source).unwrap_err().to_string();
    assert!(
        text.contains("only one of REDIS_URL and REDIS_URL_FILE"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_its_text_is_not() {
    let (_file, path) = file("mysql://u:hunter2@h/db");
    for (path, said) in [
        (
            path.as_str(),
            "a file that holds a URL that starts with postgres://",
        ),
        ("/nowhere/at/all", "a readable file (No such file"),
        ("/", "a readable file ("),
        ("/dev/zero", "a readable file (larger than 65536 bytes)"),
    ] {
        let text = Config::read(&HashMap::from([("WRITE_DATABASE_URL_FILE", path)]))
            .unwrap_err()
            .to_string();
        assert!(
            text.contains(&format!("WRITE_DATABASE_URL_FILE={path:?}: expected {said}")),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
    let (_file, path) = file("");
    let reading = Config::read_all(&HashMap::from([("REDIS_READER_URL_FILE", path.as_str())]));
    assert_eq!(reading.config.unwrap().redis.reader_url, None);
}

#[test]
fn every_setting_says_where_its_value_is_from_and_hides_passwords() {
    let reading = Config::read_all(&HashMap::from([
        ("WRITE_DATABASE_URL", "postgres://u:hunter2@h/db"),
        ("MAX_CONCURRENCY", "many"),
    ]));
    assert!(reading.config.is_err());
    assert_eq!(reading.settings.len(), variables().count());
    let shown = |name| {
        let setting = reading.setting(name).unwrap();
        (setting.shown.as_str(), setting.origin.clone())
    };
    assert_eq!(
        shown("WRITE_DATABASE_URL"),
        ("postgres://u:***@h/db", Origin::Variable)
    );
    assert_eq!(shown("MAX_CONCURRENCY"), ("many", Origin::Variable));
    assert_eq!(shown("ADDRESS"), ("127.0.0.1:3001", Origin::Default));
    assert_eq!(
        shown("READ_DATABASE_URL"),
        ("postgres://posthog:***@localhost:5432/posthog", Origin::Default)
    );
}

#[test]
fn no_setting_shows_a_credential() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://u:hunter2@h:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://h:4317?api_key=hunter2"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "u:hunter2@h:4317"),
        ("OBJECT_STORAGE_ENDPOINT", "http://u:hunter2@h"),
        ("COOKIELESS_REDIS_HOST", ":hunter2@h"),
        ("COOKIELESS_REDIS_HOST", "redis://:hunter2@h"),
        ("FLAGS_TOKEN_RATE_LIMIT_OVERRIDES", r#"{"phc_hunter2": "1/s"}"#),
        ("FLAGS_TOKEN_RATE_LIMIT_OVERRIDES", r#"{"phc_hunter2": "1/s""#),
        ("NEW_ANALYTICS_CAPTURE_ENDPOINT", "https://u:hunter2@h/e"),
    ] {
        let source: HashMap<&str, &str> = HashMap::from([(name, value)]);
        let reading = Config::read_all(&source);
        let shown = &reading.setting(name).unwrap().shown;
        assert!(
            shown.contains("***") && !shown.contains("hunter2"),
            "{name}: {shown}"
        );
        if let Err(error) = reading.config {
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
