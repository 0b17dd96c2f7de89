//! A cheap load generator for comparisons: how many requests a server answers, not how fast each one is.
//!
//! One thread, a fixed number of keep-alive connections, one request in flight on each. It reads the answer of a connection,
//! sends that connection's next request and goes on to the next connection, so all others stay in flight meanwhile and a
//! request costs two system calls here, or more while it waits: it never sleeps. Bodies come from a file, one a line, and rotate; requests are built before the
//! clock starts.
//!
//! ```text
//! loadgen --address 127.0.0.1:3001 --bodies FILE [--path /flags/?v=2] [--header 'name: value']... [--connections 16]
//!         [--seconds 5] [--rate REQUESTS_A_SECOND] [--method POST] [--content-type application/json] [--expect 200] [--frames]
//! ```
//!
//! With `--rate` requests leave at fixed times, whether or not earlier ones are answered, and latency counts from the time at
//! which a request was to leave ([`open_loop`]).
//!
//! With `--frames` each body in the file stands behind its length, four bytes, little-endian, so that it may hold any byte.
//! A `GET` sends no body.
//!
//! Prints one JSON line: requests, seconds, bytes of answers; with `--rate` latencies besides. Any answer but the expected status ends the run with exit code 1.

mod connection;
mod open_loop;
mod options;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use connection::Connection;
use options::Options;

type Failure = Box<dyn std::error::Error>;

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
    let options = Options::parse()?;
    let requests = options.requests()?;
    let mut next_request = requests.iter().cycle();
    let mut connections = (0..options.connections)
        .map(|_| Connection::open(options.address, options.expect))
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
