//! What a Redis server was told, by its `MONITOR` command.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use crate::stores::Stores;

/// Hears every command from its start on. Its thread ends with the server.
pub struct Monitor {
    lines: Receiver<String>,
    barrier: MultiplexedConnection,
    barriers: u32,
}

impl Monitor {
    pub async fn start(stores: &Stores, name: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", stores.redis.port(name))).expect("Redis listens");
        stream.write_all(b"MONITOR\r\n").expect("sent");
        let mut reader = BufReader::new(stream);
        let mut answer = String::new();
        reader.read_line(&mut answer).expect("an answer");
        assert_eq!(answer, "+OK\r\n");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in reader.lines() {
                if line.is_err() || sender.send(line.unwrap_or_default()).is_err() {
                    return;
                }
            }
        });
        Self {
            lines,
            barrier: stores.redis(name).await,
            barriers: 0,
        }
    }

    /// Commands up to now that change keys of entries or sets, without time, client and quotation marks.
    pub async fn writes(&mut self) -> Vec<String> {
        self.barriers += 1;
        let barrier = format!("barrier-{}", self.barriers);
        redis::cmd("ECHO")
            .arg(&barrier)
            .exec_async(&mut self.barrier)
            .await
            .expect("ECHO");
        let mut writes = Vec::new();
        loop {
            let line = self
                .lines
                .recv_timeout(Duration::from_secs(30))
                .expect("the barrier is heard");
            let command = line
                .split_once("] ")
                .map_or("", |(_, command)| command)
                .replace('"', "");
            if command.ends_with(&barrier) {
                return writes;
            }
            let name = command.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            if ["SET", "DEL", "ZADD", "ZREM", "EXPIRE", "PEXPIRE", "UNLINK"].contains(&name.as_str()) {
                writes.push(command);
            }
        }
    }
}
