//! Requests at a constant rate: the arrival of a request does not depend on how the earlier ones fare.
//!
//! Latency runs from the time at which a request was to leave to its last byte, so a server that stalls is charged for every
//! request that fell due meanwhile, also for those that found no free connection. Never sleeps.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::connection::{Connection, PATIENCE};

/// The first part of a run is not counted: buffers grow and caches warm.
const WARM_SHARE: f64 = 0.1;

/// Sends `rate` requests a second for that long; returns a line of JSON.
pub fn run(
    connections: &mut [Connection],
    requests: &[Vec<u8>],
    rate: f64,
    seconds: f64,
) -> Result<String, Failure> {
    let total = (rate * seconds) as usize;
    let warm = (total as f64 * WARM_SHARE) as usize;
    let mut latencies_ns: Vec<u64> = Vec::with_capacity(total);
    let mut free: Vec<usize> = (0..connections.len()).collect();
    let mut in_flight: VecDeque<(usize, usize, Duration)> = VecDeque::with_capacity(connections.len());
    let (mut sent, mut answered, mut answer_bytes, mut waited) = (0, 0_usize, 0, 0_usize);
    let started = Instant::now();
    let mut last_answer = Duration::ZERO;
    while answered < total {
        let now = started.elapsed();
        if now.saturating_sub(last_answer) > PATIENCE {
            return Err("the server does not answer".into());
        }
        while sent < total {
            let due = Duration::from_secs_f64(sent as f64 / rate);
            if due > now {
                break;
            }
            let Some(connection) = free.pop() else {
                waited += 1;
                break;
            };
            connections[connection].send(&requests[sent % requests.len()])?;
            in_flight.push_back((connection, sent, due));
            sent += 1;
        }
        // Each once: the oldest is the likeliest to be answered, and one answer late does not hide the others.
        for _ in 0..in_flight.len() {
            let Some((connection, number, due)) = in_flight.pop_front() else {
                break;
            };
            let Some(size) = connections[connection].poll()? else {
                in_flight.push_back((connection, number, due));
                continue;
            };
            last_answer = started.elapsed();
            answered += 1;
            answer_bytes += size;
            free.push(connection);
            if number >= warm {
                latencies_ns.push((last_answer - due).as_nanos() as u64);
            }
        }
    }
    latencies_ns.sort_unstable();
    let at = |share: f64| {
        let place = (latencies_ns.len() as f64 * share).ceil() as usize;
        latencies_ns
            .get(place.saturating_sub(1))
            .map_or(0.0, |latency| *latency as f64 / 1e3)
    };
    Ok(format!(
        r#"{{"requests":{answered},"seconds":{:.6},"answer_bytes":{answer_bytes},"no_free_connection":{waited},"p50_us":{:.1},"p90_us":{:.1},"p99_us":{:.1},"p999_us":{:.1},"max_us":{:.1}}}"#,
        last_answer.as_secs_f64(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
    ))
}
