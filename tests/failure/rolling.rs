//! A rolling restart behind a real balancer (`http.md` 15): HAProxy with its retries off asks two services for their readiness and keeps connections to
//! both open, requests come without a pause, and none of them may fail.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::Commands;
use serde_json::json;

use crate::definitions::Team;
use crate::service::{Service, settings};
use crate::world::{World, until};

const TEAM: Team = Team(1);

/// Clients that send the next request when the last is answered.
const CLIENTS: usize = 4;

/// Longer than HAProxy needs to see that a service is not ready, also on a busy machine.
const SHUTDOWN_DELAY_MS: &str = "3000";

/// What became of the requests of a load.
#[derive(Debug, Default)]
struct Seen {
    answered: u64,
    /// Other statuses, connections that ended, and silence, with how often.
    failed: BTreeMap<String, u64>,
}

/// HAProxy before two services. Killed when dropped.
struct Balancer {
    process: Child,
    folder: tempfile::TempDir,
    address: SocketAddr,
    services: [SocketAddr; 2],
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

impl Balancer {
    /// `protocol` is what it speaks with the services: nothing for HTTP/1.1, `proto h2` for HTTP/2.
    fn start(protocol: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = free_address();
        let services = [free_address(), free_address()];
        let [one, other] = services;
        let path = folder.path().display();
        let text = format!(
            "global
  stats socket {path}/admin.sock level admin
defaults
  mode http
  retries 0
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout check 5s
frontend all
  bind {address}
  default_backend services
backend services
  http-reuse always
  option httpchk GET /_readiness
  http-check expect status 200
  default-server check inter 100ms fall 3 rise 1 init-addr none {protocol}
  server one {one}
  server other {other}
"
        );
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).expect("a file");
        let process = Command::new("haproxy")
            .args(["-db", "-q", "-f"])
            .arg(&file)
            .stderr(Stdio::inherit())
            .spawn()
            .expect("haproxy starts; scripts/tools installs it");
        let balancer = Self {
            process,
            folder,
            address,
            services,
        };
        until("haproxy", || TcpStream::connect(address).ok());
        balancer
    }

    /// Waits until it sends requests to both services, or to only so many.
    fn sends_to(&self, services: usize) {
        until("the balancer's view", || {
            let mut socket = UnixStream::connect(self.folder.path().join("admin.sock")).ok()?;
            socket.write_all(b"show stat\n").ok()?;
            let mut text = String::new();
            socket.read_to_string(&mut text).ok()?;
            let up = text
                .lines()
                .filter(|line| line.starts_with("services,o") && line.split(',').any(|field| field == "UP"));
            (up.count() == services).then_some(())
        });
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One request on a connection that stays: its status, or why there is none.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<u16, String> {
    let said = |error: std::io::Error| error.to_string();
    stream.write_all(request).map_err(said)?;
    let mut answer = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).map_err(said)?;
        if read == 0 {
            return Err(format!("closed after {} bytes", answer.len()));
        }
        answer.extend_from_slice(&bytes[..read]);
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse::<usize>().ok())
            .ok_or_else(|| format!("no length: {text}"))?;
        if answer.len() >= head + 4 + length {
            let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
            return status.ok_or_else(|| format!("no status: {text}"));
        }
    }
}

/// Sends through the balancer until something has been done.
fn under_load(balancer: &Balancer, doing: impl FnOnce()) -> Seen {
    let body = json!({ "token": TEAM.token(), "distinct_id": "ada", "flag_keys": ["always"] }).to_string();
    let length = body.len();
    let head = "POST /flags?v=2 HTTP/1.1\r\nhost: flags.test\r\ncontent-type: application/json\r\nuser-agent: curl/8\r\n";
    let request = format!("{head}content-length: {length}\r\n\r\n{body}");
    let done = AtomicBool::new(false);
    let connect = || {
        let stream = TcpStream::connect(balancer.address).expect("the balancer listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a limit");
        stream.set_nodelay(true).expect("no delay");
        stream
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = Seen::default();
                    let mut stream = connect();
                    while !done.load(Ordering::Relaxed) {
                        match exchange(&mut stream, request.as_bytes()) {
                            Ok(200) => seen.answered += 1,
                            Ok(status) => *seen.failed.entry(format!("status {status}")).or_default() += 1,
                            Err(reason) => {
                                *seen.failed.entry(reason).or_default() += 1;
                                stream = connect();
                            }
                        }
                    }
                    seen
                })
            })
            .collect();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(doing));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
        let mut all = Seen::default();
        for client in clients {
            let seen = client.join().expect("a client never panics");
            all.answered += seen.answered;
            for (reason, count) in seen.failed {
                *all.failed.entry(reason).or_default() += count;
            }
        }
        all
    })
}

fn service(world: &World, address: SocketAddr) -> Service {
    let mut settings = settings(world);
    settings.insert("ADDRESS", address.to_string());
    // As deployed: a database that is slow for a moment takes no service out.
    settings.insert("READINESS_CHECKS_DATABASE", "false".to_owned());
    settings.insert("SHUTDOWN_DELAY_MS", SHUTDOWN_DELAY_MS.to_owned());
    Service::listening(&settings)
}

/// Requests that Redis holds for the team.
fn counted(world: &World) -> u64 {
    let name = format!("posthog:decide_requests:{}", TEAM.0);
    let fields: Vec<u64> = world.redis("redis").hvals(name).expect("HVALS");
    fields.iter().sum()
}

fn no_request_fails(protocol: &str) {
    let world = World::new(&["redis"]);
    world.everywhere(TEAM);
    let balancer = Balancer::start(protocol);
    let mut running = balancer.services.map(|address| service(&world, address));
    balancer.sends_to(2);
    let mut lines = 0;
    let mut end = |service: &mut Service| {
        service.terminate();
        assert_eq!(service.ended(), Some(0), "{:?}", service.errors());
        assert_eq!(service.said("closed"), 0, "cut: {:?}", service.errors());
        lines += service.request_lines();
    };
    let seen = under_load(&balancer, || {
        for at in [0, 1, 0, 1] {
            end(&mut running[at]);
            balancer.sends_to(1);
            running[at] = service(&world, balancer.services[at]);
            balancer.sends_to(2);
        }
    });
    for service in &mut running {
        end(service);
    }
    println!(
        "{protocol:?}: {} requests over four restarts, failed: {:?}",
        seen.answered, seen.failed
    );
    assert_eq!(seen.failed, BTreeMap::new());
    assert!(seen.answered > 1000, "hardly a load: {}", seen.answered);
    // The other side of each answer: usage that was written, and a line in the log.
    assert_eq!(counted(&world), seen.answered);
    assert_eq!(lines, seen.answered);
}

#[test]
fn no_request_fails_over_http1() {
    no_request_fails("");
}

#[test]
fn no_request_fails_over_http2() {
    no_request_fails("proto h2");
}

/// The same load sees a service that ends otherwise, so that it would see one that drains badly.
#[test]
fn requests_fail_when_a_service_is_killed() {
    let world = World::new(&["redis"]);
    world.everywhere(TEAM);
    let balancer = Balancer::start("");
    let mut running = balancer.services.map(|address| service(&world, address));
    balancer.sends_to(2);
    let seen = under_load(&balancer, || {
        running[0].kill();
        balancer.sends_to(1);
    });
    assert!(!seen.failed.is_empty(), "{} answered", seen.answered);
}
