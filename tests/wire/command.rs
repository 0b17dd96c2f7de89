//! The command itself: exit codes and what it prints.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use feature_flags::store::embedded::EmbeddedStore;

use crate::client::Client;

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_feature-flags"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn the_version_is_the_package_s() {
    let output = run(&["--version"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        output.stdout,
        format!("feature-flags {}\n", env!("CARGO_PKG_VERSION")).into_bytes()
    );
}

#[test]
fn serve_names_what_is_away_once_and_ends_when_told_to_be_strict() {
    let nowhere = "127.0.0.1:1";
    let (redis, postgres, objects) = (
        format!("redis://{nowhere}/"),
        format!("postgres://somebody:secret@{nowhere}/posthog"),
        format!("http://{nowhere}"),
    );
    let variables = [
        ("ADDRESS", "127.0.0.1:0"),
        ("REDIS_URL", redis.as_str()),
        ("READ_DATABASE_URL", &postgres),
        ("WRITE_DATABASE_URL", &postgres),
        ("OBJECT_STORAGE_ENDPOINT", &objects),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("EXIT_WHEN_DEPENDENCY_UNAVAILABLE", "true"),
    ];
    let output = run(&["serve"], &variables);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    for source in ["redis", "non_persons_reader", "non_persons_writer", "s3"] {
        let lines = text
            .lines()
            .filter(|line| line.contains(&format!("{source} cannot be used")));
        assert_eq!(lines.count(), 1, "{source}: {text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn warm_and_import_say_what_is_away() {
    let postgres = "postgres://somebody:secret@127.0.0.1:1/posthog";
    let variables = [("READ_DATABASE_URL", postgres), ("WRITE_DATABASE_URL", postgres)];
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sdk_fixture.json");
    for arguments in [&["warm", "--all"][..], &["import", fixture]] {
        let output = run(arguments, &variables);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!text.is_empty() && !text.contains("secret"), "{text}");
    }
    assert_eq!(run(&["warm"], &[]).status.code(), Some(2));
}

#[test]
fn wrong_usage_is_2_and_wrong_settings_are_1() {
    assert_eq!(run(&["dev", "--bogus"], &[]).status.code(), Some(2));
    let output = run(&["dev"], &[("ADDRESS", "nowhere"), ("MAX_CONCURRENCY", "many")]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("ADDRESS") && text.contains("MAX_CONCURRENCY"),
        "{text}"
    );
}

/// A `dev` process on a free port; killed if a test fails.
struct Dev {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Dev {
    fn start(arguments: &[&str]) -> Self {
        Self::with(arguments, &[])
    }

    fn with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_feature-flags"))
            .args(["dev", "--address", "127.0.0.1:0"])
            .args(arguments)
            .env_clear()
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let address = first.strip_prefix("feature-flags listening on http://").unwrap();
        let address = address.parse().unwrap();
        Self {
            process,
            lines,
            address,
        }
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Fails when the process has ended, which is what it should have done.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    for (first, second) in [("-TERM", "-INT"), ("-INT", "-TERM"), ("-TERM", "-TERM")] {
        // Without the second one it would go on for five minutes.
        let mut dev = Dev::with(&[], &[("SHUTDOWN_DELAY_MS", "300000")]);
        let readiness = |dev: &Dev| {
            Client::connect(dev.address)
                .request("GET /_readiness", &[], b"")
                .status
        };
        assert_eq!(readiness(&dev), 200);
        dev.signal(first);
        while readiness(&dev) != 503 {}
        dev.signal(second);
        assert_eq!(dev.exit_code(), Some(130), "{first} {second}");
    }
}

#[test]
fn dev_announces_the_sample_project_and_ends_in_order() {
    for signal in ["-TERM", "-INT"] {
        let mut dev = Dev::start(&[]);
        let project = dev.lines.next().unwrap().unwrap();
        assert_eq!(project, "project Sample project: token phc_sample_project");
        let line = dev.lines.next().unwrap().unwrap();
        assert!(
            line.starts_with(&format!("try: curl -s 'http://{}/flags?v=2'", dev.address)),
            "{line}"
        );
        let mut client = Client::connect(dev.address);
        assert_eq!(client.request("GET /_readiness", &[], b"").text(), "ready");
        dev.signal(signal);
        client.expect_close();
        assert_eq!(dev.exit_code(), Some(0), "{signal}");
    }
}

#[test]
fn dev_serves_what_import_has_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("flags.sqlite");
    let document = directory.path().join("project.json");
    std::fs::write(
        &document,
        r#"{"team": {"id": 7, "api_token": "phc_seven", "name": "Seven"}}"#,
    )
    .unwrap();
    let (store, document) = (store.to_str().unwrap(), document.to_str().unwrap());
    assert_eq!(
        run(&["import", document, "--store", store], &[]).status.code(),
        Some(0)
    );
    let mut dev = Dev::start(&["--store", store]);
    assert_eq!(
        dev.lines.next().unwrap().unwrap(),
        "project Seven: token phc_seven"
    );
    dev.signal("-TERM");
    assert_eq!(dev.exit_code(), Some(0));
}

#[test]
fn dev_writes_usage_before_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("flags.sqlite");
    let mut dev = Dev::start(&["--store", store.to_str().unwrap()]);
    let mut client = Client::connect(dev.address);
    for _ in 0..25 {
        let answer = client.request(
            "POST /flags?v=2",
            &["user-agent: posthog-go/1"],
            br#"{"token":"phc_sample_project","distinct_id":"ada"}"#,
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    dev.signal("-TERM");
    assert_eq!(dev.exit_code(), Some(0));
    let store = EmbeddedStore::open(&store).unwrap();
    let counts = store.usage_counts().unwrap();
    for hash in [
        "posthog:decide_requests:1",
        "posthog:decide_requests:sdk:1:posthog-go",
    ] {
        let counts = counts.iter().filter(|count| count.key == hash);
        assert_eq!(counts.map(|count| count.count).sum::<u64>(), 25, "{hash}");
    }
}

#[test]
fn a_document_that_cannot_be_imported_is_1() {
    let directory = tempfile::tempdir().unwrap();
    let document = directory.path().join("project.json");
    std::fs::write(&document, r#"{"team": {"api_token": 5}}"#).unwrap();
    let store = directory.path().join("flags.sqlite");
    let (store, document) = (store.to_str().unwrap(), document.to_str().unwrap());
    assert_eq!(
        run(&["import", document, "--store", store], &[]).status.code(),
        Some(1)
    );
    let output = run(&["dev", "--address", "127.0.0.1:0", "--project", document], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("api_token"));
}

#[test]
fn an_address_in_use_is_named() {
    let dev = Dev::start(&[]);
    let address = dev.address.to_string();
    let output = run(&["dev", "--address", &address], &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&format!("cannot listen on {address}")), "{text}");
}

/// Exit code and what was said of a process that is ended as soon as it serves.
fn located(arguments: &[&str], path: Option<&std::path::Path>) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_feature-flags"));
    command
        .args(arguments)
        .env_clear()
        .envs(path.map(|path| ("MAXMIND_DB_PATH", path)))
        .env("ADDRESS", "127.0.0.1:0")
        .current_dir(&folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    // Nothing to read: it has ended by itself.
    if lines.next().is_some() {
        let id = process.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
    }
    let output = process.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_location_database_that_was_asked_for_must_be_usable() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut asn = crate::mmdb::MmdbWriter::city(4, 24);
    asn.database_type = "GeoLite2-ASN".into();
    let whole = crate::mmdb::MmdbWriter::city(6, 28).bytes();
    let absent = folder.path().join("absent.mmdb");
    for command in ["dev", "serve"] {
        for (path, said) in [
            (&absent, "no such file"),
            (&folder.path().to_owned(), "cannot be read"),
            (&file("text", b"not a database"), "no usable MaxMind DB"),
            (&file("cut", &whole[..whole.len() - 40]), "no usable MaxMind DB"),
            (
                &file("asn", &asn.bytes()),
                "\"GeoLite2-ASN\", not a City database",
            ),
        ] {
            let (code, text) = located(&[command], Some(path));
            assert_eq!(code, Some(1), "{command}: {text}");
            assert!(
                text.contains(&format!("MAXMIND_DB_PATH: {}: ", path.display())),
                "{text}"
            );
            assert!(text.contains(said), "{said}: {text}");
        }
        let (code, text) = located(&[command], Some(&file("whole", &whole)));
        assert_eq!(code, Some(0), "{command}: {text}");
        assert!(!text.contains("MAXMIND_DB_PATH"), "{text}");
        // Nothing at the default path: said once, and no reason to stop. Empty: wanted so.
        let (code, text) = located(&[command], None);
        assert_eq!(code, Some(0), "{command}: {text}");
        let warnings = text
            .lines()
            .filter(|line| line.contains("share/GeoLite2-City.mmdb"));
        assert_eq!(warnings.count(), 1, "{text}");
        let (code, text) = located(&[command], Some(std::path::Path::new("")));
        assert_eq!(code, Some(0), "{command}: {text}");
        assert!(!text.contains("location database"), "{text}");
    }
}
