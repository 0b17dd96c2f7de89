//! The runtime that serves requests.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// A multi-thread runtime. `threads` 0: as many as the processor quota of the process allows.
///
/// # Errors
/// When the system refuses threads or the event queue.
pub fn build(threads: usize) -> io::Result<Runtime> {
    let threads = match threads {
        0 => available_parallelism().map_or(1, NonZero::get),
        chosen => chosen,
    };
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("serve")
        .enable_all()
        .build()
}
