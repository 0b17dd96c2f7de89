//! The log over writers that a test holds.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;
use crate::telemetry::note::{NoteLoan, TextField};

/// Far above what a test waits for.
const HANG: Duration = Duration::from_secs(20);

/// Passes on what is written; blocks while nobody takes it.
struct Pipe(SyncSender<Vec<u8>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log(settings: LogSettings, room: usize) -> (Logger, Receiver<Vec<u8>>) {
    let (sender, written) = sync_channel(room);
    (Logger::start(settings, Box::new(Pipe(sender))), written)
}

fn settings() -> LogSettings {
    LogSettings {
        level: Some(Level::Info),
        pretty: false,
        sample_rate: 1.0,
        queue_max: 64,
        read_agent: |_| (None, None),
    }
}

fn ending(status: u16) -> Ending {
    Ending {
        status,
        error_code: None,
        took: Duration::from_micros(1500),
    }
}

fn lines(written: &Receiver<Vec<u8>>) -> Vec<String> {
    let bytes: Vec<u8> = written.try_iter().flatten().collect();
    String::from_utf8(bytes)
        .expect("lines are text")
        .lines()
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn a_flush_finds_everything_that_was_said_before_it() {
    let (logger, written) = log(settings(), 1000);
    let mut note = NoteLoan::take(true, false);
    note.texts.set(TextField::DistinctId, "phc_secret \"x\"", 200);
    logger.request(&note, ending(200), Instant::now());
    logger.message(Level::Warn, &"redis://a:b@c is away");
    logger.message(Level::Debug, &"not this");
    assert!(logger.flush(HANG));
    let lines = lines(&written);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let parsed: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("a line is an object"))
        .collect();
    assert_eq!(parsed[0]["message"], "redis://***@c is away");
    assert_eq!(parsed[0]["level"], "WARN");
    assert_eq!(parsed[1]["message"], "canonical_log_line");
    assert_eq!(parsed[1]["distinct_id"], "phc_*** \"x\"");
    assert_eq!(parsed[1]["duration_ms"], 1.5);
    assert_eq!(parsed[1]["http_status"], 200);
}

/// Lines that the log says it dropped.
fn reported(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let said = text.lines().filter_map(|line| {
        let before = line
            .split(" log lines dropped")
            .next()
            .filter(|before| *before != line)?;
        before.rsplit('"').next()?.parse::<u64>().ok()
    });
    said.sum()
}

#[test]
fn what_nobody_reads_is_dropped_counted_and_said_later() {
    let (logger, written) = log(settings(), 0);
    let note = NoteLoan::take(true, false);
    let mut sent = 0;
    // The writer is stuck in its first write, so the queues fill and stay full.
    while logger.dropped() < 10 {
        logger.request(&note, ending(200), Instant::now());
        sent += 1;
        assert!(sent < 10_000);
    }
    let dropped = logger.dropped();
    let mut bytes = Vec::new();
    while reported(&bytes) < dropped {
        bytes.extend(written.recv_timeout(HANG).expect("the writer goes on"));
    }
    assert_eq!(reported(&bytes), dropped);
    let text = String::from_utf8(bytes).expect("lines are text");
    let whole = text
        .lines()
        .filter(|line| line.contains("canonical_log_line"))
        .count();
    assert!(
        whole as u64 + dropped <= sent,
        "{whole} written, {dropped} dropped of {sent}"
    );
}

#[test]
fn a_share_of_what_succeeds_and_all_that_fails_is_wanted() {
    let (logger, _written) = log(
        LogSettings {
            sample_rate: 0.25,
            ..settings()
        },
        1000,
    );
    let taken = (0..1000).filter(|_| logger.wants(false)).count();
    assert!((249..=251).contains(&taken), "{taken}");
    assert!((0..100).all(|_| logger.wants(true)));
}

#[test]
fn levels_switch_lines_off() {
    for (level, requests) in [
        (None, false),
        (Some(Level::Error), false),
        (Some(Level::Warn), false),
        (Some(Level::Info), true),
        (Some(Level::Debug), true),
    ] {
        let (logger, written) = log(LogSettings { level, ..settings() }, 1000);
        assert_eq!(logger.logs_requests(), requests, "{level:?}");
        logger.message(Level::Error, &"broken");
        assert!(logger.flush(HANG));
        assert_eq!(lines(&written).len(), usize::from(level.is_some()), "{level:?}");
    }
}

#[test]
fn people_get_messages_as_they_know_them() {
    let (logger, written) = log(
        LogSettings {
            pretty: true,
            ..settings()
        },
        1000,
    );
    logger.message(Level::Warn, &"s3 cannot be used");
    let note = NoteLoan::take(true, false);
    logger.request(&note, ending(503), Instant::now());
    assert!(logger.flush(HANG));
    let lines = lines(&written);
    assert_eq!(lines[0], "warning: s3 cannot be used");
    assert!(
        lines[1].contains(" INFO canonical_log_line http_status=503 duration_ms=1.500 "),
        "{lines:?}"
    );
}

#[test]
fn a_refused_request_says_so() {
    let (logger, written) = log(settings(), 1000);
    let mut note = NoteLoan::take(true, false);
    note.rate_limited = true;
    let ending = Ending {
        status: 429,
        error_code: Some("token_rate_limited"),
        took: Duration::ZERO,
    };
    logger.request(&note, ending, Instant::now());
    assert!(logger.flush(HANG));
    let line: Value = serde_json::from_str(&lines(&written)[0]).expect("a line is an object");
    assert_eq!(
        (&line["http_status"], &line["error_code"], &line["rate_limited"]),
        (
            &Value::from(429),
            &Value::from("token_rate_limited"),
            &Value::from(true)
        )
    );
    assert_eq!(line.get("evaluation_type"), None);
}
