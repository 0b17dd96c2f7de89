//! The background tasks: limits in, counts out, and the last flush of a process.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::flush::{Flusher, UsageLeft};
use super::limits::Resource;
use super::port::{LimitSource, UsageSink};
use super::refresh::Refresher;
use super::{Quota, Say};

/// Longest wait after a flush that did not get through: a store that is back gets what waited within it.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// The same for the last flush, which has little time.
const LAST_RETRY: Duration = Duration::from_millis(100);

/// The spread of flushes, as a part of the interval: many processes must not come in step.
const JITTER: f64 = 0.1;

/// Settings of the tasks.
#[derive(Debug, Clone, Copy)]
pub struct TasksSettings {
    /// Between reads of limits.
    pub refresh_interval: Duration,
    /// Whether limits of recordings are read too (`FLAGS_SESSION_REPLAY_QUOTA_CHECK`).
    pub recordings: bool,
    /// Between flushes of counts, to which a tenth at random is added.
    pub flush_interval: Duration,
    /// Commands a batch.
    pub flush_batch: usize,
    /// Whether counts are written at all: not under `SKIP_WRITES`.
    pub counts: bool,
    /// For the last flush.
    pub last_flush_timeout: Duration,
}

/// The running tasks. Dropping them ends both at once; [`Tasks::finish`] writes what is left first.
pub struct Tasks {
    refresh: JoinHandle<()>,
    flush: Option<Flushing>,
    last_flush_timeout: Duration,
}

struct Flushing {
    /// When the last flush has to be done; `None` until the end begins.
    deadline: watch::Sender<Option<Instant>>,
    task: JoinHandle<UsageLeft>,
}

impl Tasks {
    /// Starts both. Needs a tokio runtime.
    #[must_use]
    pub fn start(
        quota: &Arc<Quota>,
        limits: Arc<dyn LimitSource>,
        usage: Arc<dyn UsageSink>,
        settings: TasksSettings,
        say: &Say,
    ) -> Self {
        let resources: &[Resource] = if settings.recordings {
            &[Resource::FeatureFlags, Resource::Recordings]
        } else {
            &[Resource::FeatureFlags]
        };
        let refresher = Refresher::new(Arc::clone(quota), limits, resources, Arc::clone(say));
        let flush = settings.counts.then(|| {
            let flusher = Flusher::new(Arc::clone(quota), usage, settings.flush_batch, Arc::clone(say));
            let (deadline, ending) = watch::channel(None);
            Flushing {
                deadline,
                task: tokio::spawn(run(flusher, settings.flush_interval, ending)),
            }
        });
        Self {
            refresh: tokio::spawn(refresher.run(settings.refresh_interval)),
            flush,
            last_flush_timeout: settings.last_flush_timeout,
        }
    }

    /// Writes what requests have recorded up to now, within the time for it, and ends. To be called once no request runs
    /// any more. What could not be written.
    pub async fn finish(mut self) -> UsageLeft {
        let Some(flush) = &mut self.flush else {
            return UsageLeft::default();
        };
        flush
            .deadline
            .send_replace(Some(Instant::now() + self.last_flush_timeout));
        // A task that panicked has said so.
        (&mut flush.task).await.unwrap_or_default()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.refresh.abort();
        if let Some(flush) = &self.flush {
            flush.task.abort();
        }
    }
}

/// Flushes every `interval` until the end is announced, then once more.
async fn run(
    mut flusher: Flusher,
    interval: Duration,
    mut ending: watch::Receiver<Option<Instant>>,
) -> UsageLeft {
    loop {
        let wait = if flusher.is_failing() {
            interval.min(RETRY_MAX)
        } else {
            jittered(interval)
        };
        tokio::select! {
            () = sleep(wait) => {}
            _ = ending.changed() => break,
        }
        tokio::select! {
            _ = flusher.flush() => {}
            () = passed(ending.clone()) => return flusher.end(),
        }
        if ending.borrow().is_some() {
            break;
        }
    }
    let deadline = ending.borrow().unwrap_or_else(Instant::now);
    // Ends with the deadline or with everything written, whichever is first.
    let _ = timeout_at(deadline, async {
        while !flusher.flush().await {
            sleep(LAST_RETRY).await;
        }
    })
    .await;
    flusher.end()
}

/// Waits for the deadline that is announced at the end.
async fn passed(mut ending: watch::Receiver<Option<Instant>>) {
    let deadline = ending.wait_for(Option::is_some).await.map(|deadline| *deadline);
    match deadline {
        Ok(Some(deadline)) => sleep_until(deadline).await,
        // The tasks were dropped, and this one will be at its next wait.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

fn jittered(interval: Duration) -> Duration {
    let random = (RandomState::new().build_hasher().finish() >> 32) as u32;
    interval + interval.mul_f64(JITTER * f64::from(random) / f64::from(u32::MAX))
}
