//! The tables, one file a set-up.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Output;

use fancy_regex::Regex;

use crate::world::{Settings, World};

/// A set-up: the name of its file, and what it changes of settings that work. An empty value takes the setting away.
type SetUp<'a> = (&'a str, Vec<(&'a str, String)>);

/// What differs between machines and runs, and how it is written in the files.
fn normalised(world: &World, text: &str) -> String {
    let mut text = text.to_owned();
    for name in ["postgres", "redis", "redis-replica", "flags-redis"] {
        let port = format!(":{}", world.servers.port(name));
        text = text.replace(&port, &format!(":<{name}>"));
    }
    let storage = world.objects.endpoint.trim_start_matches("http://");
    let storage = storage.rsplit_once(':').expect("a port").1;
    text = text.replace(&format!(":{storage}"), ":<s3>");
    for (pattern, replacement) in [
        (r"(Redis|PostgreSQL) [0-9.]+", "$1 <version>"),
        (r"test_[0-9]+", "<database>"),
        (r"(?m)[0-9]+ are allowed$", "<number> are allowed"),
        (r"quota allows [0-9]+", "quota allows <number>"),
        (r"(?m)no limit$", "<number> are allowed"),
        (r"[0-9]+, as many as", "<number>, as many as"),
        (r"[0-9]+ settings", "<number> settings"),
        (r"(?<=on 127\.0\.0\.1:)[0-9]+", "<port>"),
    ] {
        let pattern = Regex::new(pattern).expect("a pattern");
        text = pattern.replace_all(&text, replacement).into_owned();
    }
    text
}

fn golden(world: &World, name: &str, output: &Output) -> Result<(), String> {
    let stdout = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let status = output.status.code().expect("it ended by itself");
    let actual = format!("{}{stderr}exit status {status}\n", normalised(world, &stdout));
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/check/golden/{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &actual).expect("written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if actual == expected {
        Ok(())
    } else {
        Err(format!("== {name}: expected\n{expected}-- got\n{actual}"))
    }
}

fn prepare(world: &World) {
    world.sql(
        "CREATE ROLE stranger LOGIN PASSWORD 'stranger';
         CREATE ROLE reader LOGIN PASSWORD 'reader';
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;",
    );
    world.sql("CREATE DATABASE empty");
    // Over these connections nothing else is asked afterwards.
    world.redis(
        "flags-redis",
        &[
            "ACL",
            "SETUSER",
            "narrow",
            "on",
            ">narrow",
            "~*",
            "&*",
            "+@all",
            "-info",
            "-client|tracking",
        ],
    );
    world.redis("flags-redis", &["CONFIG", "SET", "requirepass", "hunter2"]);
    world.file("secrets/redis", &format!("{}\n", world.servers.url("redis")));
    world.file("secrets/wrong", "redis:/hunter2@h\n");
}

fn set_ups<'a>(world: &World, taken: u16, closed: u16) -> Vec<SetUp<'a>> {
    let flags_redis = |user: &str| format!("redis://{user}127.0.0.1:{}/", world.servers.port("flags-redis"));
    let databases = |url: String| vec![("READ_DATABASE_URL", url.clone()), ("WRITE_DATABASE_URL", url)];
    let away = format!("127.0.0.1:{closed}");
    vec![
        (
            "everything_is_there",
            vec![
                ("REDIS_URL", String::new()),
                ("REDIS_URL_FILE", "secrets/redis".into()),
                ("REDIS_READER_URL", world.servers.url("redis-replica")),
                ("FLAGS_REDIS_URL", flags_redis("default:hunter2@")),
                ("PERSONS_READ_DATABASE_URL", world.database_url.clone()),
            ],
        ),
        (
            "postgres_wrong_password",
            databases(world.database("posthog", "hunter2", None)),
        ),
        (
            "postgres_no_password",
            databases(world.database_url.replace(":posthog@", "@")),
        ),
        (
            "postgres_no_such_database",
            databases(world.database("posthog", "posthog", Some("nowhere"))),
        ),
        (
            "postgres_missing_schema",
            databases(world.database("posthog", "posthog", Some("empty"))),
        ),
        (
            "postgres_no_permission",
            vec![
                ("READ_DATABASE_URL", world.database("stranger", "stranger", None)),
                ("WRITE_DATABASE_URL", world.database("reader", "reader", None)),
            ],
        ),
        (
            "postgres_no_tls",
            databases(format!("{}?sslmode=require", world.database_url)),
        ),
        (
            "postgres_away",
            databases(format!("postgres://posthog:hunter2@{away}/posthog")),
        ),
        ("redis_no_password", vec![("FLAGS_REDIS_URL", flags_redis(""))]),
        (
            "redis_wrong_password",
            vec![("FLAGS_REDIS_URL", flags_redis(":hunter3@"))],
        ),
        (
            "redis_narrow_permissions",
            vec![("FLAGS_REDIS_URL", flags_redis("narrow:narrow@"))],
        ),
        (
            "redis_is_a_replica",
            vec![("REDIS_URL", world.servers.url("redis-replica"))],
        ),
        (
            "redis_away",
            vec![("REDIS_URL", format!("redis://:hunter2@{away}/"))],
        ),
        ("s3_denied", vec![("AWS_SECRET_ACCESS_KEY", "hunter2".into())]),
        (
            "s3_no_credentials",
            vec![("AWS_SECRET_ACCESS_KEY", String::new())],
        ),
        ("s3_no_bucket", vec![("OBJECT_STORAGE_BUCKET", "nowhere".into())]),
        (
            "s3_away",
            vec![("OBJECT_STORAGE_ENDPOINT", format!("http://{away}"))],
        ),
        ("port_taken", vec![("ADDRESS", format!("127.0.0.1:{taken}"))]),
        (
            "address_of_another_machine",
            vec![("ADDRESS", "192.0.2.1:3001".into())],
        ),
        (
            "unusable_settings",
            vec![
                ("MAX_CONCURRENCY", "many".into()),
                ("WRITE_DATABASE_URL", "mysql://u:hunter2@h/db".into()),
                ("REDIS_URL", String::new()),
                ("REDIS_URL_FILE", "secrets/wrong".into()),
            ],
        ),
        (
            "collector_with_password",
            vec![(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "https://u:hunter2@h:4317?api_key=hunter2".into(),
            )],
        ),
        (
            "s3_endpoint_with_password",
            vec![(
                "OBJECT_STORAGE_ENDPOINT",
                format!("http://u:hunter2@{away}?key=hunter2"),
            )],
        ),
        (
            "url_for_a_file",
            vec![
                ("REDIS_URL", String::new()),
                ("REDIS_URL_FILE", "redis://:hunter2@h/".into()),
            ],
        ),
        ("value_and_file", vec![("REDIS_URL_FILE", "secrets/redis".into())]),
        (
            "file_is_missing",
            vec![
                ("REDIS_URL", String::new()),
                ("REDIS_URL_FILE", "secrets/nowhere".into()),
            ],
        ),
        (
            "unknown_variables",
            vec![
                ("FLAGS_REDIS_ULR", "redis://h/".into()),
                ("FLAG_DEFINITIONS_CACHE_TTL_SECONDS", "90".into()),
                ("REDIS_CLIENT_RETRY_COUNT", "3".into()),
                ("ADDRESS_FILE", "secrets/redis".into()),
            ],
        ),
        (
            "geoip_missing",
            vec![("MAXMIND_DB_PATH", "share/nowhere.mmdb".into())],
        ),
        (
            "geoip_is_no_database",
            vec![("MAXMIND_DB_PATH", "secrets/redis".into())],
        ),
        (
            "more_than_the_machine_has",
            vec![
                ("MAX_CONNECTIONS", "10000".into()),
                ("THREAD_POOL_CORES", "1000".into()),
            ],
        ),
    ]
}

#[test]
fn every_broken_set_up_explains_itself() {
    let world = World::start(&["postgres", "redis-replica", "flags-redis"]);
    prepare(&world);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = unused_port();
    let mut different = Vec::new();
    let taken_port = taken.local_addr().expect("an address").port();
    for (name, changes) in set_ups(&world, taken_port, closed) {
        let mut settings: Settings = world.settings();
        for (variable, value) in changes {
            if value.is_empty() {
                settings.remove(variable);
            } else {
                settings.insert(variable.to_owned(), value);
            }
        }
        let output = match name {
            "more_than_the_machine_has" => world.run_with_files(1024, &settings),
            _ => world.run(&["check"], &settings),
        };
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        assert!(
            !String::from_utf8_lossy(&said).contains("hunter2"),
            "{name} shows a password"
        );
        let text = String::from_utf8_lossy(&output.stdout).replace(&format!(":{closed}"), ":<closed>");
        let output = Output {
            stdout: text.into_bytes(),
            ..output
        };
        different.extend(golden(&world, name, &output).err());
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// A port on which nothing listens; what was just given back is not given out again soon.
fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn a_server_that_hangs_is_told_from_one_that_is_away() {
    let world = World::start(&["postgres", "redis"]);
    world.servers.command("pause redis");
    let output = world.run(&["check"], &world.settings());
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("no answer within 3 s"), "{said}");
    assert!(said.contains("not usable: 1 problem, 0 warnings"), "{said}");
    world.servers.command("resume redis");
}
