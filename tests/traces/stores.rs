//! Spans of commands and statements, on real Redis, S3 and PostgreSQL.

use std::process::Command;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;
use tokio_postgres::NoTls;

use crate::collector::{Collector, Received, Trace};
use crate::object_storage::{BUCKET, ObjectStorage};
use crate::process::{PERSON, Process, TOKEN, command, document};
use crate::servers::Servers;

const FIRST: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";
const THIRD: &str = "00000000-0000-4000-8000-000000000003";

struct World {
    runtime: tokio::runtime::Runtime,
    servers: Servers,
    objects: ObjectStorage,
    database: String,
    collector: Collector,
}

impl World {
    /// With a project imported: rows in PostgreSQL, entries in Redis and S3.
    fn start(continuity: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let servers = Servers::start(&["postgres", "redis"]);
        let database = servers.database();
        let objects = runtime.block_on(ObjectStorage::start());
        let world = Self {
            runtime,
            servers,
            objects,
            database,
            collector: Collector::start(),
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("project.json");
        std::fs::write(&file, document(continuity).to_string()).unwrap();
        let output = world
            .command(&["import", file.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        world
    }

    fn command(&self, arguments: &[&str]) -> Command {
        command(
            arguments,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.collector.url()),
                ("OTEL_TRACES_SAMPLER_ARG", "1"),
                ("REDIS_URL", &self.servers.url("redis")),
                ("REDIS_RESPONSE_TIMEOUT_MS", "5000"),
                ("READ_DATABASE_URL", &self.database),
                ("WRITE_DATABASE_URL", &self.database),
                ("OBJECT_STORAGE_BUCKET", BUCKET),
                ("OBJECT_STORAGE_ENDPOINT", &self.objects.endpoint),
                ("AWS_ACCESS_KEY_ID", self.objects.access_key),
                ("AWS_SECRET_ACCESS_KEY", self.objects.secret_key),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ],
        )
    }

    fn serve(&self) -> Process {
        Process::start(self.command(&["serve"]))
    }

    fn redis(&self, words: &[&str]) {
        let url = self.servers.url("redis");
        self.runtime.block_on(async {
            let client = redis::Client::open(url).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            redis::cmd(words[0])
                .arg(&words[1..])
                .query_async::<()>(&mut connection)
                .await
                .unwrap();
        });
    }
}

/// Nothing that only the request or the store knows is in a span.
fn assert_discreet(trace: &Trace) {
    let said = format!("{trace:?}");
    for secret in [TOKEN, PERSON, "test-secret-key", "anonymous-id"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[test]
fn a_load_is_commands_and_a_stored_person_is_a_statement() {
    let world = World::start(false);
    let process = world.serve();
    assert_eq!(process.ask_stored(FIRST).status, 200);
    let trace = world.collector.trace_of(FIRST);
    let request = trace.one("POST /flags");
    assert_eq!(request.text("feature_flags.team_source"), "redis");
    let snapshot = trace.one("snapshot");
    let commands = trace.below(snapshot);
    assert!(!commands.is_empty(), "{:?}", trace.names());
    for received in &trace.0 {
        if received.span.parent_span_id == snapshot.span.span_id {
            assert_eq!(received.span.kind(), SpanKind::Client);
        }
    }
    let command = trace
        .0
        .iter()
        .find(|received| received.text("db.system.name") == "redis")
        .unwrap();
    assert_eq!(command.span.parent_span_id, snapshot.span.span_id);
    assert_eq!(command.text("feature_flags.server"), "redis");
    assert_eq!(command.text("db.operation.name"), command.span.name);
    let gather = trace.one("gather");
    let name = "SELECT posthog_cohortpeople posthog_persondistinctid posthog_person";
    let statement = trace.one(name);
    assert_eq!(statement.span.parent_span_id, gather.span.span_id);
    assert_eq!(
        (statement.span.kind(), &statement.span.status),
        (SpanKind::Client, &None)
    );
    for (name, value) in [
        ("db.system.name", "postgresql"),
        ("db.operation.name", "SELECT"),
        // Without a persons database of their own, persons are where everything is.
        ("feature_flags.pool", "non_persons_reader"),
    ] {
        assert_eq!(statement.text(name), value, "{name}");
    }
    assert!(
        statement
            .text("db.query.text")
            .contains("WHERE d.team_id = $1 AND d.distinct_id = $2::text")
    );
    assert_discreet(&trace);
}

#[test]
fn what_redis_has_lost_comes_from_s3_and_then_from_postgresql() {
    let world = World::start(false);
    world.redis(&["FLUSHALL"]);
    let process = world.serve();
    assert_eq!(process.ask_stored(FIRST).status, 200);
    let trace = world.collector.trace_of(FIRST);
    let snapshot = trace.one("snapshot");
    let object = trace
        .0
        .iter()
        .find(|received| received.span.name == "S3/GetObject")
        .unwrap();
    assert_eq!(object.span.parent_span_id, snapshot.span.span_id);
    assert_eq!(
        (object.span.kind(), object.text("aws.s3.bucket")),
        (SpanKind::Client, BUCKET.into())
    );
    assert_discreet(&trace);
    drop(process);
    let entries = world.objects.directory.path().join(BUCKET);
    std::fs::remove_dir_all(&entries).unwrap();
    std::fs::create_dir(&entries).unwrap();
    world.redis(&["FLUSHALL"]);
    let process = world.serve();
    assert_eq!(process.ask_stored(SECOND).status, 200);
    let trace = world.collector.trace_of(SECOND);
    let snapshot = trace.one("snapshot");
    let batch = trace.0.iter().find(|received| {
        received
            .text("db.query.text")
            .contains("FROM posthog_featureflag f")
    });
    let batch = batch.unwrap_or_else(|| panic!("{:?}", trace.names()));
    assert!(
        batch.span.name.starts_with("BATCH SELECT posthog_team"),
        "{}",
        batch.span.name
    );
    assert_eq!(batch.text("db.operation.name"), "BATCH SELECT");
    assert_eq!(batch.span.parent_span_id, snapshot.span.span_id);
    assert!(
        batch
            .text("db.query.text")
            .contains("; SELECT to_jsonb(f)::text FROM posthog_featureflag"),
        "{batch:?}"
    );
    assert!(batch.text("db.operation.batch.size").parse::<u32>().unwrap() > 2);
    assert_discreet(&trace);
}

#[test]
fn continuity_is_told_and_a_failing_statement_has_its_code() {
    let world = World::start(true);
    let process = world.serve();
    let body = json!({ "token": TOKEN, "distinct_id": PERSON, "$anon_distinct_id": "anonymous-id" });
    assert_eq!(process.flags(FIRST, &[], &body).status, 200);
    let trace = world.collector.trace_of(FIRST);
    let gathers: Vec<_> = trace
        .0
        .iter()
        .filter(|received| received.span.name == "gather")
        .collect();
    assert_eq!(gathers.len(), 2, "{:?}", trace.names());
    let continuity = trace.below(gathers[0]).concat();
    assert!(
        continuity.contains("posthog_featureflaghashkeyoverride"),
        "{continuity}"
    );
    assert!(
        trace
            .names()
            .iter()
            .any(|name| name.starts_with("INSERT posthog_featureflaghashkeyoverride")),
        "{:?}",
        trace.names()
    );
    assert_discreet(&trace);

    let sql = "ALTER TABLE posthog_cohortpeople RENAME TO gone";
    world.runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&world.database, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    });
    let answer = process.ask_stored(THIRD);
    assert_eq!(answer.status, 200);
    let trace = world.collector.trace_of(THIRD);
    let failed = trace
        .0
        .iter()
        .find(|received| received.span.name.starts_with("SELECT posthog_cohortpeople"))
        .unwrap();
    assert_eq!(failed.span.status.as_ref().unwrap().code(), StatusCode::Error);
    // Undefined table.
    assert_eq!(failed.text("error.type"), "42P01");
    let gather = trace
        .0
        .iter()
        .find(|received| received.span.span_id == failed.span.parent_span_id)
        .unwrap();
    assert_eq!(
        (&*gather.span.name, gather.span.status.as_ref().unwrap().code()),
        ("gather", StatusCode::Error)
    );
    // The request itself is answered.
    assert_eq!(trace.one("POST /flags").span.status, None);
}

#[test]
fn a_client_that_goes_away_leaves_a_trace_that_says_so() {
    let world = World::start(false);
    let process = world.serve();
    assert_eq!(process.ask_stored(FIRST).status, 200);
    let connect = async || {
        let (client, connection) = tokio_postgres::connect(&world.database, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let locked = world.runtime.block_on(connect());
    let lock = "BEGIN; LOCK TABLE posthog_person IN ACCESS EXCLUSIVE MODE";
    world.runtime.block_on(locked.batch_execute(lock)).unwrap();
    let client = process.abandon(SECOND, &json!({ "token": TOKEN, "distinct_id": PERSON }));
    // Once its statement waits for the table, its client goes.
    let arrives = async {
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%posthog_person %'";
        let watcher = connect().await;
        while watcher.query(waiting, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    world
        .runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(30), arrives).await })
        .expect("the statement waits");
    drop(client);
    let cancelled = |name: &str| {
        world.collector.wait(name, |received, _| {
            let given_up = |received: &&Received| {
                received.span.name == name && received.text("error.type") == "cancelled"
            };
            received.iter().find(given_up).cloned()
        })
    };
    let request = cancelled("POST /flags");
    assert_eq!(request.text("http.response.status_code"), "");
    let gather = cancelled("gather");
    assert_eq!(gather.span.parent_span_id, request.span.span_id);
    assert_eq!(gather.span.trace_id, request.span.trace_id);
}
