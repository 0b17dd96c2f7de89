//! Keeps a sample of evaluation requests in a file, so that `replay` can ask two servers the same.
//!
//! A request costs its worker one random number; one that is taken, a copy into a bounded queue. Everything else (decoding,
//! redaction, writing) is the work of a thread of its own, which ends by itself when the file is large or old enough. `redact.rs`
//! decides what may stand in the file, `writer.rs` when it ends. Where requests come from is `http`'s.

mod hash;
mod metrics;
mod queue;
mod redact;
mod sample;
mod warnings;
mod writer;

use std::fs::{File, OpenOptions};
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use hash::KeyedHash;
pub use queue::Captured;

use self::queue::Queue;
use self::sample::Sampler;
use crate::config::RecorderSettings;
use crate::snapshot::ProjectSnapshot;
use crate::telemetry::log;

/// What the recorder asks of a team that is held: which of its properties some flag looks at.
pub trait Teams: Send {
    /// The team of a token, however old; `None`: it is not held. Must not wait.
    fn held(&self, token: &str) -> Option<Arc<ProjectSnapshot>>;
}

/// The recorder of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sampler: Sampler,
    keeps_client: bool,
    queue: Arc<Queue>,
}

impl Recorder {
    /// Makes the file and starts the thread. `None`: nothing is recorded, because no setting asks for it, or because the
    /// file cannot be made, which the log says. A recorder never keeps a process from serving.
    #[must_use]
    pub fn start(settings: &RecorderSettings, teams: Box<dyn Teams>) -> Option<Self> {
        let path = settings.file.as_deref()?;
        let started = new_file(path).and_then(|file| Self::over(settings, teams, file));
        match started {
            Ok(recorder) => {
                for warning in warnings::warnings(settings) {
                    log::warn(format_args!("recorder: {warning}"));
                }
                log::info(format_args!(
                    "recorder: {} of the requests into {}, until {} bytes or {} seconds",
                    settings.sample_rate,
                    path.display(),
                    settings.bytes_max,
                    settings.time_max.as_secs()
                ));
                Some(recorder)
            }
            Err(error) => {
                log::warn(format_args!(
                    "recorder: cannot record into {}, nothing is recorded: {error}",
                    path.display()
                ));
                None
            }
        }
    }

    fn over(settings: &RecorderSettings, teams: Box<dyn Teams>, file: File) -> io::Result<Self> {
        let hash = match &settings.hash_key {
            Some(key) => KeyedHash::of(key.expose().as_bytes()),
            None => {
                KeyedHash::random().ok_or_else(|| io::Error::other("the system has no random numbers"))?
            }
        };
        let (queue, inbox) = queue::bounded(settings.queue_bytes_max);
        let queue = Arc::new(queue);
        writer::spawn(settings.clone(), hash, teams, file, inbox, Arc::clone(&queue))?;
        Ok(Self(Arc::new(Shared {
            sampler: Sampler::new(settings.sample_rate),
            keeps_client: settings.client_address,
            queue,
        })))
    }

    /// Whether a request is to be captured: the recording has not ended, and chance wants it.
    #[must_use]
    pub fn wants_one(&self) -> bool {
        self.0.queue.is_open() && self.0.sampler.takes()
    }

    /// Whether addresses of clients are wanted.
    #[must_use]
    pub fn keeps_client(&self) -> bool {
        self.0.keeps_client
    }

    /// Hands a request over; dropped and counted when too much waits. Never waits.
    pub fn offer(&self, captured: Box<Captured>) {
        self.0.queue.offer(captured);
    }

    /// Ends the recording and waits until it is written, at most for `limit`. Whether it was.
    pub fn finish(&self, limit: Duration) -> bool {
        self.0.queue.finish(limit)
    }
}

/// A file that was not there, and that only its owner can read: an older recording is never overwritten.
fn new_file(path: &std::path::Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests;
