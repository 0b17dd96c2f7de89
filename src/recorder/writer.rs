//! The thread that writes: takes what waits, redacts it, and ends the file in time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::metrics::RecorderMetrics;
use super::queue::{Captured, Queue};
use super::redact::Redactor;
use super::{KeyedHash, Teams, warnings};
use crate::config::RecorderSettings;
use crate::recording::{End, EndLine, FORM, Header};
use crate::telemetry::log;

/// Between looks. Workers do not wake the thread: that would cost them a system call a request.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

struct Writer {
    settings: RecorderSettings,
    redactor: Redactor,
    out: BufWriter<File>,
    queue: Arc<Queue>,
    metrics: RecorderMetrics,
    started: Instant,
    written_bytes: u64,
    counted_drops: u64,
    line: Vec<u8>,
    end: End,
}

/// Starts the thread.
///
/// # Errors
/// When the system refuses it.
pub(super) fn spawn(
    settings: RecorderSettings,
    hash: KeyedHash,
    teams: Box<dyn Teams>,
    file: File,
    inbox: Receiver<Box<Captured>>,
    queue: Arc<Queue>,
) -> io::Result<()> {
    let redactor = Redactor::new(settings.redaction, hash, teams);
    let mut writer = Writer {
        settings,
        redactor,
        out: BufWriter::new(file),
        queue,
        metrics: RecorderMetrics::default(),
        started: Instant::now(),
        written_bytes: 0,
        counted_drops: 0,
        line: Vec::new(),
        end: End::default(),
    };
    std::thread::Builder::new()
        .name("recorder".to_owned())
        .spawn(move || {
            let reason = writer.record(&inbox).unwrap_or_else(|error| {
                log::warn(format_args!("recorder: {error}"));
                "failed"
            });
            writer.finish(reason);
            writer.queue.end();
        })
        .map(drop)
}

impl Writer {
    /// Writes what comes, until it may not or need not go on. Why it ended.
    fn record(&mut self, inbox: &Receiver<Box<Captured>>) -> io::Result<&'static str> {
        self.header()?;
        loop {
            // Read first: what was offered before it closed is found by this look.
            let is_last = !self.queue.is_open();
            while let Ok(captured) = inbox.try_recv() {
                self.queue.took(&captured);
                if !self.request(&captured)? {
                    return Ok("bytes");
                }
                if self.started.elapsed() >= self.settings.time_max {
                    return Ok("time");
                }
            }
            if is_last {
                return Ok("stopped");
            }
            if self.started.elapsed() >= self.settings.time_max {
                return Ok("time");
            }
            self.count_drops();
            self.out.flush()?;
            std::thread::park_timeout(LOOK_INTERVAL);
        }
    }

    /// How many there are by now.
    fn count_drops(&mut self) -> u64 {
        let dropped = self.queue.dropped();
        self.metrics.dropped.increment(dropped - self.counted_drops);
        self.counted_drops = dropped;
        dropped
    }

    fn header(&mut self) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = Header {
            recording: FORM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            sample_rate: self.settings.sample_rate,
            redaction: self.settings.redaction.name().to_owned(),
            client_addresses: self.settings.client_address,
            warnings: warnings::warnings(&self.settings),
        };
        self.set_line(&header)?;
        self.write_line()
    }

    /// Whether there was room.
    fn request(&mut self, captured: &Captured) -> io::Result<bool> {
        let Some(mut entry) = self.redactor.entry(captured) else {
            self.end.undecodable += 1;
            self.metrics.undecodable.increment(1);
            return Ok(true);
        };
        let since = captured.at.saturating_duration_since(self.started);
        entry.at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.set_line(&entry)?;
        if self.written_bytes + self.line.len() as u64 > self.settings.bytes_max {
            return Ok(false);
        }
        self.write_line()?;
        self.end.requests += 1;
        self.metrics.written.increment(1);
        Ok(true)
    }

    /// The last line, in the file and in the log.
    fn finish(&mut self, reason: &'static str) {
        self.queue.close();
        let mut end = std::mem::take(&mut self.end);
        end.reason = reason.to_owned();
        end.dropped = self.count_drops();
        self.redactor.describe(&mut end);
        let End {
            requests,
            dropped,
            undecodable,
            ..
        } = &end;
        log::warn(format_args!(
            "recorder: ended ({reason}): {requests} requests, {} bytes; {dropped} dropped, {undecodable} left out; as they were sent: ids {:?}, \
             values of {:?}; changed although flags look at them: ids {:?}, values of {:?}",
            self.written_bytes, end.kept_ids, end.kept_properties, end.changed_ids, end.changed_properties,
        ));
        let written = self
            .set_line(&EndLine { end })
            .and_then(|()| self.write_line())
            .and_then(|()| self.out.flush())
            .and_then(|()| self.out.get_ref().sync_all());
        if let Err(error) = written {
            log::warn(format_args!("recorder: the recording has no end: {error}"));
        }
    }

    fn set_line(&mut self, content: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, content)?;
        self.line.push(b'\n');
        Ok(())
    }

    fn write_line(&mut self) -> io::Result<()> {
        self.out.write_all(&self.line)?;
        self.written_bytes += self.line.len() as u64;
        self.metrics.bytes.increment(self.line.len() as u64);
        Ok(())
    }
}
