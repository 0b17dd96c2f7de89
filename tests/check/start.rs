//! What `serve` says when it starts on such a set-up.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::world::World;

#[test]
fn a_start_says_what_check_says_and_only_problems() {
    let world = World::start(&["postgres", "redis"]);
    let mut settings = world.settings();
    let wrong = world.database("posthog", "hunter2", None);
    settings.insert("READ_DATABASE_URL".into(), wrong);
    settings.insert("THREAD_POOL_CORES".into(), "1000".into());
    settings.insert("FLAGS_REDIS_ULR".into(), "redis://h/".into());
    let mut serving = world
        .command(&["serve"], &settings)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let lines = BufReader::new(serving.stderr.take().expect("piped")).lines();
    let mut said = Vec::new();
    for line in lines.map(|line| line.expect("UTF-8")) {
        let last = line.contains("cannot be used");
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line of the log");
        assert_eq!(line["level"], "WARN", "{line}");
        said.push(line["message"].as_str().expect("text").to_owned());
        if last {
            break;
        }
    }
    serving.kill().expect("it runs");
    serving.wait().expect("it ends");
    assert_eq!(said.len(), 3, "{said:#?}");
    assert_eq!(
        said[0],
        "FLAGS_REDIS_ULR is not a setting: did you mean FLAGS_REDIS_URL?"
    );
    assert!(
        said[1].starts_with("threads: 1000 threads, and the processor quota allows "),
        "{}",
        said[1]
    );
    let port = world.servers.port("postgres");
    let (_, database) = world.database_url.rsplit_once('/').expect("a database");
    assert_eq!(
        said[2],
        format!(
            "non_persons_reader cannot be used, it will be retried: 127.0.0.1:{port}/{database}: wrong credentials: \
             password authentication failed for user \"posthog\" (READ_DATABASE_URL); \
             correct user and password in READ_DATABASE_URL"
        )
    );
}

#[test]
fn a_start_that_cannot_be_ends_with_its_reason() {
    let world = World::start(&["postgres", "redis"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (name, value, reason) in [
        (
            "MAX_CONCURRENCY",
            "many",
            "MAX_CONCURRENCY=\"many\": expected a number",
        ),
        (
            "REDIS_URL_FILE",
            "nowhere",
            "only one of REDIS_URL and REDIS_URL_FILE",
        ),
        ("ADDRESS", address.as_str(), "cannot listen on"),
    ] {
        let mut settings = world.settings();
        settings.insert(name.into(), value.into());
        let mut serving = world
            .command(&["serve"], &settings)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut said = String::new();
        let mut stderr = serving.stderr.take().expect("piped");
        stderr.read_to_string(&mut said).expect("UTF-8");
        assert_eq!(serving.wait().expect("it ends").code(), Some(1), "{said}");
        assert!(said.contains(reason), "{said}");
    }
}
