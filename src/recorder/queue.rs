//! From workers to the writer, without waiting: bounded in requests and in bytes.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests that may wait; the writer looks every 20 ms, so that this is 50,000 a second.
const REQUESTS_MAX: usize = 1024;

/// Of a captured request besides its texts.
const OVERHEAD_BYTES: usize = 512;

/// A request as it came, headers chosen.
#[derive(Debug, Clone)]
pub struct Captured {
    /// When it came.
    pub at: Instant,
    /// Path, without the query.
    pub path: Box<str>,
    /// Behind `?`.
    pub query: Option<Box<str>>,
    /// Names in lower case.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Only where the recorder keeps it.
    pub client: Option<IpAddr>,
    /// As transferred.
    pub body: Box<[u8]>,
}

impl Captured {
    fn bytes(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 32)
            .sum();
        let query = self.query.as_deref().map_or(0, str::len);
        OVERHEAD_BYTES + self.path.len() + query + headers + self.body.len()
    }
}

/// The sending end, and how the two ends tell each other to stop.
pub(super) struct Queue {
    sender: SyncSender<Box<Captured>>,
    open: AtomicBool,
    waiting_bytes: AtomicUsize,
    bytes_max: usize,
    dropped: AtomicU64,
    ended: Mutex<bool>,
    ending: Condvar,
}

impl fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// A queue of so many bytes, and its other end.
pub(super) fn bounded(bytes_max: usize) -> (Queue, Receiver<Box<Captured>>) {
    let (sender, receiver) = sync_channel(REQUESTS_MAX);
    let queue = Queue {
        sender,
        open: AtomicBool::new(true),
        waiting_bytes: AtomicUsize::new(0),
        bytes_max,
        dropped: AtomicU64::new(0),
        ended: Mutex::new(false),
        ending: Condvar::new(),
    };
    (queue, receiver)
}

impl Queue {
    /// Whether anything is taken.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Nothing is taken from now on.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Takes a request, or counts it as dropped.
    pub fn offer(&self, captured: Box<Captured>) {
        if !self.is_open() {
            return;
        }
        let bytes = captured.bytes();
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = waiting.saturating_add(bytes) <= self.bytes_max;
        if !fits || self.sender.try_send(captured).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The writer has taken a request out.
    pub fn took(&self, captured: &Captured) {
        self.waiting_bytes.fetch_sub(captured.bytes(), Ordering::Relaxed);
    }

    /// Requests that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The writer is done.
    pub fn end(&self) {
        self.close();
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ending.notify_all();
    }

    /// Closes, and waits for the writer. Whether it came to its end in time.
    pub fn finish(&self, limit: Duration) -> bool {
        self.close();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ending.wait_timeout_while(ended, limit, |ended| !*ended);
        waited.map_or(true, |(ended, _)| *ended)
    }
}
