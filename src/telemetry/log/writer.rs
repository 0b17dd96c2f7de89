//! The thread that writes: looks at the queues, makes lines of what is there, and writes them together.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::line::Line;
use super::queue::{Inbox, Message, Record};
use super::{Level, LogSettings, json, pretty, secrets};

/// Between looks while nothing is said. Waking the writer for each line would cost the worker a system call a request;
/// so it looks by itself.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Written at once when so much is collected.
const BATCH_BYTES: usize = 64 * 1024;

/// Of one queue, before others have their turn.
const RECORDS_A_LOOK: usize = 4096;

/// See the module.
pub(super) struct Writer {
    settings: LogSettings,
    inbox: Inbox,
    out: Box<dyn Write + Send>,
    lines: Vec<u8>,
    reported_drops: u64,
}

/// A moment on both clocks, so that workers need read only one.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    wall: SystemTime,
    steady: Instant,
}

impl Moment {
    fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            steady: Instant::now(),
        }
    }

    /// The wall clock at another moment, as text: RFC 3339 with microseconds.
    pub fn text_of(self, at: Instant) -> String {
        let ago = self.steady.saturating_duration_since(at);
        let wall = self.wall.checked_sub(ago).unwrap_or(self.wall);
        jiff::Timestamp::try_from(wall).map_or_else(|_| String::new(), |stamp| format!("{stamp:.6}"))
    }
}

/// Writes until the process ends.
pub(super) fn run(mut writer: Writer) {
    loop {
        // Taken first: what was said before a flush was asked for is found by this look.
        let flushes: Vec<_> = writer.inbox.flushes.try_iter().collect();
        let wrote = writer.look();
        for done in &flushes {
            // Whoever asked may have stopped waiting.
            let _ = done.try_send(());
        }
        if !wrote && flushes.is_empty() {
            std::thread::park_timeout(LOOK_INTERVAL);
        }
    }
}

impl Writer {
    pub(super) fn new(settings: LogSettings, inbox: Inbox, out: Box<dyn Write + Send>) -> Self {
        Self {
            settings,
            inbox,
            out,
            lines: Vec::with_capacity(BATCH_BYTES),
            reported_drops: 0,
        }
    }

    /// Writes everything that waits. Whether there was anything.
    fn look(&mut self) -> bool {
        let now = Moment::now();
        let mut found = false;
        while let Ok(message) = self.inbox.messages.try_recv() {
            found = true;
            self.message(&message, now);
        }
        for queue in 0..self.inbox.records.len() {
            for _ in 0..RECORDS_A_LOOK {
                let Some(record) = self
                    .inbox
                    .records
                    .get(queue)
                    .and_then(|queue| queue.try_recv().ok())
                else {
                    break;
                };
                found = true;
                self.record(&record, now);
            }
        }
        let dropped = self.inbox.dropped.load(Ordering::Relaxed);
        if dropped > self.reported_drops {
            let message = Message {
                level: Level::Warn,
                text: format!(
                    "{} log lines dropped: nobody reads fast enough",
                    dropped - self.reported_drops
                ),
                said: Instant::now(),
            };
            self.reported_drops = dropped;
            found = true;
            self.message(&message, now);
        }
        self.write();
        found
    }

    fn message(&mut self, message: &Message, now: Moment) {
        let text = secrets(&message.text);
        if self.settings.pretty {
            pretty::message(&mut self.lines, message.level, &text);
        } else {
            json::message(&mut self.lines, &now.text_of(message.said), message.level, &text);
        }
        self.write_if_full();
    }

    fn record(&mut self, record: &Record, now: Moment) {
        let line = Line::of(record, self.settings.read_agent);
        let stamp = now.text_of(record.ended);
        if self.settings.pretty {
            pretty::request(&mut self.lines, &stamp, &line);
        } else {
            json::request(&mut self.lines, &stamp, &line);
        }
        self.write_if_full();
    }

    fn write_if_full(&mut self) {
        if self.lines.len() >= BATCH_BYTES {
            self.write();
        }
    }

    fn write(&mut self) {
        if !self.lines.is_empty() {
            // Nowhere to report that the log cannot be written.
            let _ = self.out.write_all(&self.lines);
            let _ = self.out.flush();
            self.lines.clear();
        }
    }
}
