//! The runtime that serves requests.

use std::io;
use tokio::runtime::{Builder, Runtime};

/// A multi-thread runtime. `threads` 0: as many as the processor quota of the process allows.
///
/// # Errors
/// When the system refuses threads or the event queue.
pub fn build(threads: usize) -> io::Result<Runtime> {
    let threads = match threads {
        0 => crate::processors::allowed(),
        chosen => chosen,
    };
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("serve")
        .enable_all()
        .build()
}
