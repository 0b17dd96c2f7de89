//! A serving process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::object_storage::BUCKET;
use crate::world::{FLAG, World, is_on, token};

/// `feature-flags serve`; dropping it ends it.
pub struct Process {
    child: Child,
    address: SocketAddr,
}

/// One that reads the replica and one that reads the primary.
pub fn both(world: &World, variables: &[(&str, &str)]) -> [Process; 2] {
    [
        Process::start(world, Some("redis-replica"), variables),
        Process::start(world, None, variables),
    ]
}

impl Process {
    /// With this server as the one that entries are read from, if it is not the primary.
    pub fn start(world: &World, reader: Option<&str>, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_feature-flags"));
        command
            .arg("serve")
            .env_clear()
            .env("ADDRESS", "127.0.0.1:0")
            .env("REDIS_URL", world.servers.url("redis"))
            .env("READ_DATABASE_URL", &world.database_url)
            .env("WRITE_DATABASE_URL", &world.database_url)
            .env("OBJECT_STORAGE_BUCKET", BUCKET)
            .env("OBJECT_STORAGE_ENDPOINT", &world.objects.endpoint)
            .env("AWS_ACCESS_KEY_ID", world.objects.access_key)
            .env("AWS_SECRET_ACCESS_KEY", world.objects.secret_key)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(reader) = reader {
            command.env("REDIS_READER_URL", world.servers.url(reader));
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .find_map(|line| {
                let line = line.unwrap();
                let (_, address) = line.split_once("listening on http://")?;
                Some(address.parse().unwrap())
            })
            .expect("the process says where it listens");
        // Read to the end, so that the process never waits for a full pipe.
        std::thread::spawn(move || lines.count());
        Self { child, address }
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks for a team's flags, as a person of this number.
pub fn ask(client: &mut Client, team: i32, person: usize) -> Answer {
    let body = json!({ "token": token(team), "distinct_id": format!("person-{person}") });
    client.request(
        "POST /flags?v=2",
        &["content-type: application/json"],
        body.to_string().as_bytes(),
    )
}

/// The version of the flag that is answered. Every answer has to be right for its version.
pub fn version(answer: &Answer) -> i32 {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(
        answer["errorsWhileComputingFlags"],
        Value::Bool(false),
        "{answer}"
    );
    let flag = &answer["flags"][FLAG];
    let version = flag["metadata"]["version"].as_i64().expect("a version");
    let version = i32::try_from(version).unwrap();
    assert_eq!(flag["enabled"], Value::Bool(is_on(version)), "{answer}");
    version
}
