//! A TCP relay in front of a part, for what signals cannot do: to stall one that lives in this process, or to take one of
//! two ways to the same server.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What the relay does with bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Passes them on.
    Open,
    /// Takes them, and passes nothing on.
    Stalled,
    /// Ends every connection.
    Closed,
}

/// Relays to one address until the process ends.
pub struct Gate {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    way: Mutex<Way>,
    changed: Condvar,
    /// Raised when connections have to end.
    closed: AtomicU8,
    accepted: AtomicU64,
}

impl Gate {
    /// An open way to `target` on a free loopback port.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            way: Mutex::new(Way::Open),
            changed: Condvar::new(),
            closed: AtomicU8::new(0),
            accepted: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                accepting.accepted.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(&accepting);
                thread::spawn(move || relay(near, target, &shared));
            }
        });
        Self { address, shared }
    }

    pub fn set(&self, way: Way) {
        *self.shared.way.lock().unwrap_or_else(PoisonError::into_inner) = way;
        if way == Way::Closed {
            self.shared.closed.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.changed.notify_all();
    }

    /// Connections taken so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Waits while stalled; whether bytes may pass.
    fn passes(&self) -> bool {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        while *way == Way::Stalled {
            way = self.changed.wait(way).unwrap_or_else(PoisonError::into_inner);
        }
        *way == Way::Open
    }
}

fn relay(near: TcpStream, target: SocketAddr, shared: &Arc<Shared>) {
    if !shared.passes() {
        return;
    }
    let Ok(far) = TcpStream::connect(target) else {
        return;
    };
    let (near_back, far_back) = (near.try_clone(), far.try_clone());
    let (Ok(near_back), Ok(far_back)) = (near_back, far_back) else {
        return;
    };
    let back = Arc::clone(shared);
    thread::spawn(move || pump(far_back, near_back, &back));
    pump(near, far, shared);
}

/// Passes bytes on until one side ends or the way is closed.
fn pump(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let generation = shared.closed.load(Ordering::Relaxed);
    // Looks up now and then, whether it should end.
    let _ = from.set_read_timeout(Some(Duration::from_millis(20)));
    let mut piece = [0; 16 * 1024];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(_) => break,
        };
        if shared.closed.load(Ordering::Relaxed) != generation || (read > 0 && !shared.passes()) {
            break;
        }
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
