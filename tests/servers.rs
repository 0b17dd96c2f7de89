//! The servers that other tests rely on: they answer, stand still, die and come back as told.

#[path = "support/servers.rs"]
mod servers;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use servers::Servers;

const REDISES: [&str; 4] = ["redis", "redis-replica", "flags-redis", "flags-redis-replica"];

/// Long enough that a server that can answer has done so.
const SILENCE: Duration = Duration::from_millis(300);

/// Longer than the time that WAIT is given below.
const REPLICATION: Duration = Duration::from_secs(10);

fn connect(servers: &Servers, name: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, servers.port(name)))?;
    stream.set_read_timeout(Some(SILENCE))?;
    Ok(stream)
}

/// Sends one command and returns the first line of the answer.
fn ask(stream: &mut TcpStream, command: &str) -> std::io::Result<String> {
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn ask_new(servers: &Servers, name: &str, command: &str) -> std::io::Result<String> {
    ask(&mut connect(servers, name)?, command)
}

async fn count(url: &str, table: &str) -> Result<i64, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    let row = client
        .query_one(&format!("SELECT count(*) FROM {table}"), &[])
        .await;
    connection.abort();
    row.map(|row| row.get(0))
}

#[test]
fn redis_servers_answer_stand_still_die_and_come_back() {
    let servers = Servers::start(&REDISES);
    for name in REDISES {
        assert_eq!(ask_new(&servers, name, "PING").unwrap(), "+PONG", "{name}");
    }
    // WAIT knows only the writes of its own connection.
    let mut writer = connect(&servers, "redis").unwrap();
    assert_eq!(ask(&mut writer, "SET key value").unwrap(), "+OK");
    writer.set_read_timeout(Some(REPLICATION)).unwrap();
    assert_eq!(ask(&mut writer, "WAIT 1 5000").unwrap(), ":1");
    assert_eq!(ask_new(&servers, "redis-replica", "EXISTS key").unwrap(), ":1");
    assert_eq!(
        ask_new(&servers, "flags-redis", "EXISTS key").unwrap(),
        ":0",
        "servers are apart"
    );

    let mut open = connect(&servers, "redis").unwrap();
    servers.command("pause redis");
    let silent = ask(&mut open, "PING").unwrap_err().kind();
    assert!(
        matches!(silent, ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{silent}"
    );
    servers.command("resume redis");
    assert_eq!(
        ask(&mut open, "PING").unwrap(),
        "+PONG",
        "the answer to the first"
    );

    servers.command("kill redis");
    assert!(connect(&servers, "redis").is_err());
    servers.command("start redis");
    assert_eq!(
        ask_new(&servers, "redis", "EXISTS key").unwrap(),
        ":0",
        "nothing is kept"
    );
}

#[test]
fn an_append_only_redis_keeps_what_was_written() {
    let servers = Servers::start(&["--appendonly", "redis"]);
    assert_eq!(ask_new(&servers, "redis", "SET key value").unwrap(), "+OK");
    servers.command("kill redis");
    servers.command("start redis");
    assert_eq!(ask_new(&servers, "redis", "EXISTS key").unwrap(), ":1");
}

#[test]
fn a_refused_command_panics_with_the_reason() {
    let servers = Servers::start(&["redis"]);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| servers.command("pause postgres")));
    let reason = *panic.unwrap_err().downcast::<String>().unwrap();
    assert!(reason.contains("no server postgres here"), "{reason}");
}

#[tokio::test]
async fn postgres_has_the_schema_stands_still_dies_and_comes_back() {
    let servers = Servers::start(&["postgres"]);
    let (first, second) = (servers.database(), servers.database());
    assert_ne!(first, second);
    for table in ["posthog_team", "posthog_person", "cohort_membership"] {
        assert_eq!(count(&first, table).await.unwrap(), 0, "{table}");
        assert_eq!(
            count(&servers.url("postgres"), table).await.unwrap(),
            0,
            "{table}"
        );
    }

    let (client, connection) = tokio_postgres::connect(&first, tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    client
        .execute(
            "INSERT INTO posthog_person (team_id, uuid) VALUES (1, gen_random_uuid())",
            &[],
        )
        .await
        .unwrap();
    servers.command("pause postgres");
    let query = client.simple_query("SELECT 1");
    tokio::pin!(query);
    assert!(
        tokio::time::timeout(SILENCE, &mut query).await.is_err(),
        "children stand still too"
    );
    servers.command("resume postgres");
    query.await.unwrap();

    servers.command("kill postgres");
    assert!(client.simple_query("SELECT 1").await.is_err());
    assert!(count(&first, "posthog_person").await.is_err());
    servers.command("start postgres");
    assert_eq!(
        count(&first, "posthog_person").await.unwrap(),
        1,
        "what was committed is there"
    );
    connection.abort();
}
