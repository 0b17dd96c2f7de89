//! Open connections: what each is doing, and the orders that reach it.
//!
//! A connection's task writes its progress with relaxed stores and reads its order with one load a poll.
//! The lock here is taken when a connection opens, closes, or all are looked at; never for a request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::watch::{Observed, Progress};
use crate::http::AppState;

/// What a connection should do. Orders only ever get stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// Go on.
    Serve,
    /// Finish what is in flight, then close.
    Drain,
    /// Close now.
    Cut,
}

/// One open connection, shared by its task, its requests and the registry.
pub(super) struct Connection {
    pub(super) app: Arc<AppState>,
    pub(super) peer: IpAddr,
    order: AtomicU8,
    waker: Mutex<Option<Waker>>,
    multiplexed: AtomicU8,
    bytes_read: AtomicU64,
    /// `bytes_read` when the last request ended.
    bytes_at_rest: AtomicU64,
    started: AtomicU32,
    ended: AtomicU32,
}

impl Connection {
    /// The order in force.
    pub(super) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Drain,
            _ => Order::Cut,
        }
    }

    /// Has the task woken when an order comes. To be called before the first look at the order, so that
    /// none is missed.
    pub(super) fn listen(&self, waker: &Waker) {
        *locked(&self.waker) = Some(waker.clone());
    }

    pub(super) fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        let waker = locked(&self.waker).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn note_multiplexed(&self) {
        self.multiplexed.store(1, Ordering::Relaxed);
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed) != 0
    }

    /// Requests begun up to now; wraps.
    pub(super) fn begun(&self) -> u32 {
        self.started.load(Ordering::Relaxed)
    }

    /// Whether a request is being answered.
    pub(super) fn is_answering(&self) -> bool {
        self.begun() != self.ended.load(Ordering::Relaxed)
    }

    pub(super) fn note_read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A request begins; it ends when the guard is dropped, answered or abandoned.
    pub(super) fn begin_request(&self) -> InFlight<'_> {
        self.started.fetch_add(1, Ordering::Relaxed);
        InFlight { connection: self }
    }

    pub(super) fn progress(&self) -> Progress {
        let ended = self.ended.load(Ordering::Relaxed);
        let started = self.started.load(Ordering::Relaxed);
        let at_rest = self.bytes_at_rest.load(Ordering::Relaxed);
        Progress {
            requests: started,
            in_flight: started != ended,
            unfinished_bytes: self.bytes_read.load(Ordering::Relaxed) != at_rest,
            multiplexed: self.is_multiplexed(),
        }
    }
}

/// A request in flight on a connection.
pub(super) struct InFlight<'a> {
    connection: &'a Connection,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let read = self.connection.bytes_read.load(Ordering::Relaxed);
        self.connection.bytes_at_rest.store(read, Ordering::Relaxed);
        self.connection.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// All open connections of a server.
pub(super) struct Registry {
    entries: Mutex<Entries>,
    emptied: Notify,
}

#[derive(Default)]
struct Entries {
    next_id: u64,
    draining: bool,
    open: HashMap<u64, (Arc<Connection>, Observed)>,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            entries: Mutex::default(),
            emptied: Notify::new(),
        }
    }

    /// Adds a connection; it is removed when the guard is dropped.
    pub(super) fn open(self: &Arc<Self>, app: Arc<AppState>, peer: IpAddr, now: Instant) -> Open {
        let mut entries = locked(&self.entries);
        let order = if entries.draining {
            Order::Drain
        } else {
            Order::Serve
        };
        let connection = Arc::new(Connection {
            app,
            peer,
            order: AtomicU8::new(order as u8),
            waker: Mutex::default(),
            multiplexed: AtomicU8::new(0),
            bytes_read: AtomicU64::new(0),
            bytes_at_rest: AtomicU64::new(0),
            started: AtomicU32::new(0),
            ended: AtomicU32::new(0),
        });
        let id = entries.next_id;
        entries.next_id += 1;
        entries
            .open
            .insert(id, (Arc::clone(&connection), Observed::new(now)));
        Open {
            id,
            connection,
            registry: Arc::clone(self),
        }
    }

    /// Looks at every connection and passes on the order that `judge` finds.
    pub(super) fn review(&self, mut judge: impl FnMut(&mut Observed, Progress) -> Order) {
        for (connection, observed) in locked(&self.entries).open.values_mut() {
            let order = judge(observed, connection.progress());
            if order > connection.order() {
                connection.give(order);
            }
        }
    }

    /// Tells every connection, also later ones, to finish.
    pub(super) fn drain(&self) {
        let mut entries = locked(&self.entries);
        entries.draining = true;
        for (connection, _) in entries.open.values() {
            connection.give(Order::Drain);
        }
    }

    /// Closes every connection now; how many there were.
    pub(super) fn cut(&self) -> usize {
        let entries = locked(&self.entries);
        for (connection, _) in entries.open.values() {
            connection.give(Order::Cut);
        }
        entries.open.len()
    }

    /// Waits until no connection is open.
    pub(super) async fn wait_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if locked(&self.entries).open.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

/// An entry of the registry.
pub(super) struct Open {
    id: u64,
    pub(super) connection: Arc<Connection>,
    registry: Arc<Registry>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut entries = locked(&self.registry.entries);
        entries.open.remove(&self.id);
        if entries.open.is_empty() {
            self.registry.emptied.notify_waiters();
        }
    }
}

/// Every critical section here leaves the data whole, so a poisoned lock is still good.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
