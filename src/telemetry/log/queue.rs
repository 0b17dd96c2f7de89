//! From workers to the writer, without waiting: bounded queues, one for each group of threads.

use std::fmt::{self, Display};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread::Thread;
use std::time::{Duration, Instant};

use metrics::{Counter, counter};

use super::writer::{self, Writer};
use super::{Level, LogSettings};
use crate::telemetry::metrics::shard;
use crate::telemetry::note::RequestNote;
use crate::telemetry::requests::Ending;

/// Messages of the process that may wait; there are few.
const MESSAGES_MAX: usize = 1024;

/// A request, to be written.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub note: RequestNote,
    pub ending: Ending,
    pub ended: Instant,
}

/// A message, to be written.
#[derive(Debug)]
pub(super) struct Message {
    pub level: Level,
    pub text: String,
    pub said: Instant,
}

/// What the writer reads.
pub(super) struct Inbox {
    pub records: Vec<Receiver<Record>>,
    pub messages: Receiver<Message>,
    /// Each is answered when everything before it is written.
    pub flushes: Receiver<SyncSender<()>>,
    /// Lines that were dropped so far.
    pub dropped: Arc<AtomicU64>,
}

struct Shared {
    settings: LogSettings,
    records: Vec<SyncSender<Record>>,
    messages: SyncSender<Message>,
    flushes: Sender<SyncSender<()>>,
    writer: Thread,
    dropped: Arc<AtomicU64>,
    dropped_metric: Counter,
}

/// The log, for whoever has something to say.
#[derive(Clone)]
pub struct Logger(Arc<Shared>);

impl fmt::Debug for Logger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Logger").finish_non_exhaustive()
    }
}

impl Logger {
    /// Starts the writer; it runs as long as the process.
    pub(super) fn start(settings: LogSettings, out: Box<dyn Write + Send>) -> Self {
        let shards = shard::count();
        let each = (settings.queue_max / shards).max(1);
        let (records, record_inboxes) = (0..shards).map(|_| sync_channel(each)).unzip();
        let (messages, message_inbox) = sync_channel(MESSAGES_MAX);
        let (flushes, flush_inbox) = channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let inbox = Inbox {
            records: record_inboxes,
            messages: message_inbox,
            flushes: flush_inbox,
            dropped: Arc::clone(&dropped),
        };
        let writer = Writer::new(settings, inbox, out);
        let spawned = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer::run(writer));
        Self(Arc::new(Shared {
            settings,
            records,
            messages,
            flushes,
            // Without a thread everything is dropped and counted, as when nobody reads.
            writer: spawned.map_or_else(|_| std::thread::current(), |handle| handle.thread().clone()),
            dropped,
            dropped_metric: counter!("feature_flags_log_dropped_total"),
        }))
    }

    /// Whether requests get lines.
    #[must_use]
    pub fn logs_requests(&self) -> bool {
        self.0.settings.level.is_some_and(|level| level >= Level::Info) && !self.0.records.is_empty()
    }

    /// Whether a request that ended so gets a line: failures always, others by the sample rate.
    #[must_use]
    pub fn wants(&self, failed: bool) -> bool {
        failed || is_sampled(self.0.settings.sample_rate)
    }

    /// Hands over the line of a request. Copies the note; never waits, and wakes nobody: the writer looks by itself.
    pub fn request(&self, note: &RequestNote, ending: Ending, ended: Instant) {
        let queues = &self.0.records;
        let Some(queue) = queues.get(shard::current() & (queues.len() - 1)) else {
            return;
        };
        let record = Record {
            note: note.clone(),
            ending,
            ended,
        };
        if queue.try_send(record).is_err() {
            self.drop_one();
        }
    }

    /// Says something; dropped and counted when too much waits.
    pub fn message(&self, level: Level, text: &dyn Display) {
        if self.0.settings.level.is_none_or(|least| level > least) {
            return;
        }
        let message = Message {
            level,
            text: text.to_string(),
            said: Instant::now(),
        };
        match self.0.messages.try_send(message) {
            Ok(()) => self.0.writer.unpark(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.drop_one(),
        }
    }

    /// Waits until everything from before is written, at most for `limit`. Whether it was.
    pub fn flush(&self, limit: Duration) -> bool {
        let (done, written) = sync_channel(1);
        if self.0.flushes.send(done).is_err() {
            return false;
        }
        self.0.writer.unpark();
        written.recv_timeout(limit).is_ok()
    }

    /// Lines that were dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    #[cold]
    fn drop_one(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
        self.0.dropped_metric.increment(1);
    }
}

/// Takes the given share of calls, evenly spread over the calls of a thread.
fn is_sampled(rate: f64) -> bool {
    use std::cell::Cell;
    thread_local! {
        static OWED: Cell<f64> = const { Cell::new(0.0) };
    }
    if rate >= 1.0 {
        return true;
    }
    let owed = OWED.get() + rate;
    let taken = owed >= 1.0;
    OWED.set(if taken { owed - 1.0 } else { owed });
    taken
}

#[cfg(test)]
mod tests;
