//! A cheap load generator for comparisons: how many requests a server answers, not how fast each one is.
//!
//! One thread, a fixed number of keep-alive connections, one request in flight on each. It reads the answer of a connection,
//! sends that connection's next request and goes on to the next connection, so all others stay in flight meanwhile and a
//! request costs two system calls here, or more while it waits: it never sleeps. Bodies come from a file, one a line, and rotate; requests are built before the
//! clock starts.
//!
//! ```text
//! loadgen --address 127.0.0.1:3001 --bodies FILE [--path /flags/?v=2] [--connections 16] [--seconds 5]
//! ```
//!
//! Prints one JSON line: requests, seconds, bytes of answers. Any answer but a 200 ends the run with exit code 1.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

/// Pauses of the processor between two attempts, a few microseconds.
const PAUSES: usize = 100;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

struct Options {
    address: SocketAddr,
    bodies: String,
    path: String,
    connections: usize,
    seconds: f64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let options = parse_options()?;
    let requests = build_requests(&options)?;
    let mut next_request = requests.iter().cycle();
    let mut connections = (0..options.connections)
        .map(|_| Connection::open(options.address))
        .collect::<io::Result<Vec<_>>>()?;

    let started = Instant::now();
    let limit = Duration::from_secs_f64(options.seconds);
    let (mut answered, mut answer_bytes) = (0_u64, 0_u64);
    for connection in &mut connections {
        connection.send(next_request.next().ok_or("the file of bodies is empty")?)?;
    }
    while started.elapsed() < limit {
        for connection in &mut connections {
            answer_bytes += connection.receive()? as u64;
            answered += 1;
            connection.send(next_request.next().ok_or("the file of bodies is empty")?)?;
        }
    }
    for connection in &mut connections {
        answer_bytes += connection.receive()? as u64;
        answered += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(r#"{{"requests":{answered},"seconds":{seconds:.6},"answer_bytes":{answer_bytes}}}"#);
    Ok(())
}

fn parse_options() -> Result<Options, Failure> {
    use lexopt::prelude::*;

    let (mut address, mut bodies) = (None, None);
    let (mut path, mut connections, mut seconds) = ("/flags/?v=2".to_owned(), 16, 5.0);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("address") => address = Some(parser.value()?.parse()?),
            Long("bodies") => bodies = Some(parser.value()?.string()?),
            Long("path") => path = parser.value()?.string()?,
            Long("connections") => connections = parser.value()?.parse()?,
            Long("seconds") => seconds = parser.value()?.parse()?,
            _ => return Err(argument.unexpected().into()),
        }
    }
    if connections == 0 {
        return Err("--connections must be at least 1".into());
    }
    let address = address.ok_or("--address is missing")?;
    let bodies = bodies.ok_or("--bodies is missing")?;
    Ok(Options {
        address,
        bodies,
        path,
        connections,
        seconds,
    })
}

/// The headers that posthog-python sends, and the origin of a page, so that the answer has CORS headers.
fn build_requests(options: &Options) -> Result<Vec<Vec<u8>>, Failure> {
    let mut requests = Vec::new();
    for body in std::fs::read_to_string(&options.bodies)?.lines() {
        let mut request = String::with_capacity(body.len() + 256);
        write!(
            request,
            "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: posthog-python/7.91.1\r\nAccept-Encoding: gzip, deflate\r\n\
             Accept: */*\r\nConnection: keep-alive\r\nOrigin: https://shop.example\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            options.path,
            options.address,
            body.len(),
        )?;
        requests.push(request.into_bytes());
    }
    Ok(requests)
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; 1 << 20],
        })
    }

    fn send(&mut self, mut request: &[u8]) -> Result<(), Failure> {
        while !request.is_empty() {
            let written = spin(|| self.stream.write(request))?;
            request = &request[written..];
        }
        Ok(())
    }

    /// Reads one answer completely; returns its size.
    fn receive(&mut self) -> Result<usize, Failure> {
        let mut filled = 0;
        let mut expected = None;
        while expected.is_none_or(|length| filled < length) {
            let read = spin(|| self.stream.read(&mut self.buffer[filled..]))?;
            if read == 0 {
                return Err("the server closed a connection, or an answer is above 1 MiB".into());
            }
            filled += read;
            if expected.is_none() {
                expected = answer_length(&self.buffer[..filled])?;
            }
        }
        Ok(filled)
    }
}

/// Tries until the socket is ready. A generator that sleeps has to be woken, and the kernel charges the
/// wake-up to the server that sends: a slower server would look slower still.
fn spin(mut attempt: impl FnMut() -> io::Result<usize>) -> Result<usize, Failure> {
    let mut patience = None;
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let since = *patience.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err("the server does not answer".into());
                }
                // Politely: the server may run on the other thread of this core.
                for _ in 0..PAUSES {
                    std::hint::spin_loop();
                }
            }
            other => return Ok(other?),
        }
    }
}

/// Length of headers and body, or `None` while the headers are incomplete.
fn answer_length(received: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(end) = memchr::memmem::find(received, b"\r\n\r\n") else {
        return Ok(None);
    };
    let headers = std::str::from_utf8(&received[..end])?;
    if !headers.starts_with("HTTP/1.1 200 ") {
        return Err(format!("answer {:?}", headers.lines().next().unwrap_or_default()).into());
    }
    let length = headers
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or("an answer without content-length")?
        .1;
    Ok(Some(end + 4 + length.trim().parse::<usize>()?))
}
