//! A cheap load generator for comparisons: how many requests a server answers, not how fast each one is.
//!
//! One thread, a fixed number of keep-alive connections, one request in flight on each. It reads the answer of a connection,
//! sends that connection's next request and goes on to the next connection, so all others stay in flight meanwhile and a
//! request costs two system calls here, or more while it waits: it never sleeps. Bodies come from a file, one a line, and rotate; requests are built before the
//! clock starts.
//!
//! ```text
//! loadgen --address 127.0.0.1:3001 --bodies FILE [--path /flags/?v=2] [--header 'name: value']... [--connections 16]
//!         [--seconds 5] [--rate REQUESTS_A_SECOND]
//! ```
//!
//! With `--rate` requests leave at fixed times, whether or not earlier ones are answered, and latency counts from the time at
//! which a request was to leave ([`open_loop`]).
//!
//! Prints one JSON line: requests, seconds, bytes of answers; with `--rate` latencies besides. Any answer but a 200 ends the run with exit code 1.

mod connection;
mod open_loop;

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use connection::Connection;

type Failure = Box<dyn std::error::Error>;

struct Options {
    address: SocketAddr,
    bodies: String,
    path: String,
    headers: Vec<String>,
    connections: usize,
    seconds: f64,
    /// Requests a second; without it each connection sends as soon as it has its answer.
    rate: Option<f64>,
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

    if let Some(rate) = options.rate {
        println!(
            "{}",
            open_loop::run(&mut connections, &requests, rate, options.seconds)?
        );
        return Ok(());
    }
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
    let (mut headers, mut rate) = (Vec::new(), None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("address") => address = Some(parser.value()?.parse()?),
            Long("bodies") => bodies = Some(parser.value()?.string()?),
            Long("path") => path = parser.value()?.string()?,
            Long("header") => headers.push(parser.value()?.string()?),
            Long("rate") => rate = Some(parser.value()?.parse()?),
            Long("connections") => connections = parser.value()?.parse()?,
            Long("seconds") => seconds = parser.value()?.parse()?,
            _ => return Err(argument.unexpected().into()),
        }
    }
    if connections == 0 {
        return Err("--connections must be at least 1".into());
    }
    if rate.is_some_and(|rate: f64| !(rate > 0.0)) {
        return Err("--rate must be above 0".into());
    }
    if headers.is_empty() {
        headers.push("Accept-Encoding: gzip, deflate".to_owned());
    }
    let address = address.ok_or("--address is missing")?;
    let bodies = bodies.ok_or("--bodies is missing")?;
    Ok(Options {
        address,
        bodies,
        path,
        headers,
        connections,
        seconds,
        rate,
    })
}

/// The headers that posthog-python sends, and the origin of a page, so that the answer has CORS headers; `--header` takes the
/// place of its `Accept-Encoding`.
fn build_requests(options: &Options) -> Result<Vec<Vec<u8>>, Failure> {
    let mut requests = Vec::new();
    for body in std::fs::read_to_string(&options.bodies)?.lines() {
        let mut request = String::with_capacity(body.len() + 256);
        write!(
            request,
            "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: posthog-python/7.91.1\r\n{}\r\n\
             Accept: */*\r\nConnection: keep-alive\r\nOrigin: https://shop.example\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            options.path,
            options.address,
            options.headers.join("\r\n"),
            body.len(),
        )?;
        requests.push(request.into_bytes());
    }
    Ok(requests)
}
