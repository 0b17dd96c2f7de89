//! Writing counts, off the request path (`storage.md` 6.6).
//!
//! Counts stay in their counters until a batch takes them, and a batch stays here until its fate is known: one batch at a
//! time, so that whatever happens to the store little is in doubt and nothing is counted twice. A batch that is tried
//! again goes to the bucket of the present: the billing job may have been through the older ones.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::flush_metrics::FlushMetrics;
use super::key::Bucket;
use super::notice::Notice;
use super::port::{Applied, ApplyError, Batch, DOUBT_MAX, Increment, UsageSink};
use super::usage::Usage;
use super::{Quota, Say};

/// Writes counts. One a process.
pub(super) struct Flusher {
    quota: Arc<Quota>,
    sink: Arc<dyn UsageSink>,
    say: Say,
    /// Increments of a batch; each is two commands.
    batch_increments: usize,
    /// What tells the batches of this process from those of others.
    process: String,
    sequence: u64,
    unsettled: Option<Unsettled>,
    /// As last said.
    failing: bool,
    metrics: FlushMetrics,
}

/// A batch that has been taken from the counters, and is not known to have been written.
struct Unsettled {
    batch: Batch,
    /// When it is no longer repeated.
    give_up_at: Instant,
    attempts: u32,
    /// The sink is being asked, or was when the future that asked was dropped.
    asking: bool,
}

/// What could not be written by the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageLeft {
    /// Requests that are not counted.
    pub dropped: u64,
    /// Requests of which it is not known whether they are.
    pub uncertain: u64,
}

impl Flusher {
    /// `batch_commands`: commands a batch; never less than the two of one increment.
    pub fn new(quota: Arc<Quota>, sink: Arc<dyn UsageSink>, batch_commands: usize, say: Say) -> Self {
        Self {
            quota,
            sink,
            say,
            batch_increments: (batch_commands / 2).max(1),
            process: uuid::Uuid::new_v4().simple().to_string(),
            sequence: 0,
            unsettled: None,
            failing: false,
            metrics: FlushMetrics::new(),
        }
    }

    /// Whether the last flush did not get through.
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// Writes what has been recorded so far. `false`: not all of it; the rest waits for the next call. May be dropped
    /// while it waits: a batch on its way is then in doubt, and stays here.
    pub async fn flush(&mut self) -> bool {
        let written = self.write_all().await;
        match &written {
            Ok(()) => {
                self.metrics.succeeded();
                if std::mem::take(&mut self.failing) {
                    (self.say)(&Notice::UsageAvailable);
                }
            }
            Err(detail) => {
                self.metrics.errors.increment(1);
                if !std::mem::replace(&mut self.failing, true) {
                    (self.say)(&Notice::UsageUnavailable(detail.clone()));
                }
            }
        }
        let waiting = self.in_background(Usage::waiting).await;
        let unsettled = self.unsettled.as_ref().map(|unsettled| &unsettled.batch);
        self.metrics.pending(waiting, unsettled);
        written.is_ok()
    }

    async fn write_all(&mut self) -> Result<(), String> {
        self.settle().await?;
        let pending = self.in_background(|usage| usage.pending(present())).await;
        let mut waiting = pending.into_iter();
        loop {
            let mut increments = Vec::with_capacity(self.batch_increments.min(waiting.len()));
            while increments.len() < self.batch_increments {
                let Some((key, counter)) = waiting.next() else {
                    break;
                };
                counter.take(present(), |bucket, count| {
                    increments.push(Increment { key, bucket, count });
                });
            }
            if increments.is_empty() {
                return Ok(());
            }
            self.begin(increments);
            self.settle().await?;
        }
    }

    /// Looking through half a million counters takes some milliseconds, which no worker should spend at once.
    async fn in_background<T: Default + Send + 'static>(
        &self,
        look: impl FnOnce(&Usage) -> T + Send + 'static,
    ) -> T {
        let quota = Arc::clone(&self.quota);
        let looked = tokio::task::spawn_blocking(move || look(&quota.usage));
        // Only a runtime that is ending cancels it.
        looked.await.unwrap_or_default()
    }

    fn begin(&mut self, increments: Vec<Increment>) {
        let id = self.next_id();
        let batch = Batch {
            id,
            increments,
            in_doubt: false,
        };
        self.metrics.records.increment(batch.requests());
        self.unsettled = Some(Unsettled {
            batch,
            give_up_at: Instant::now() + DOUBT_MAX,
            attempts: 0,
            asking: false,
        });
    }

    fn next_id(&mut self) -> String {
        self.sequence += 1;
        format!("{}:{}", self.process, self.sequence)
    }

    /// Tries the unsettled batch once. `Ok`: there is none any more.
    async fn settle(&mut self) -> Result<(), String> {
        self.age();
        let Some(unsettled) = &mut self.unsettled else {
            return Ok(());
        };
        let now = present();
        if unsettled.attempts > 0 {
            for increment in &mut unsettled.batch.increments {
                increment.bucket = now;
            }
        }
        unsettled.attempts = unsettled.attempts.saturating_add(1);
        unsettled.batch.in_doubt |= unsettled.asking;
        unsettled.asking = true;
        let outcome = self.sink.apply(&unsettled.batch).await;
        unsettled.asking = false;
        match outcome {
            Ok(applied) => {
                self.applied(&applied);
                self.unsettled = None;
                Ok(())
            }
            Err(ApplyError::NotApplied(detail)) => Err(detail),
            Err(ApplyError::InDoubt(detail)) => {
                unsettled.batch.in_doubt = true;
                Err(detail)
            }
            Err(ApplyError::Lost(detail)) => {
                self.metrics.uncertain.increment(unsettled.batch.requests());
                self.unsettled = None;
                Err(detail)
            }
        }
    }

    fn applied(&self, applied: &Applied) {
        let Some(Unsettled { batch, .. }) = &self.unsettled else {
            return;
        };
        let refused = applied.refused.iter().filter_map(|at| batch.increments.get(*at));
        let requests: u64 = refused.map(|increment| increment.count).sum();
        if requests > 0 {
            self.metrics.refused.increment(requests);
            (self.say)(&Notice::UsageRefused(requests));
        }
        let entries = batch.increments.len().saturating_sub(applied.refused.len());
        self.metrics.entries_flushed.increment(entries as u64);
    }

    /// Gives up what has been in doubt for too long to be repeated. What was surely not applied begins anew.
    fn age(&mut self) {
        let now = Instant::now();
        let Some(unsettled) = self.unsettled.take_if(|unsettled| unsettled.give_up_at <= now) else {
            return;
        };
        if unsettled.is_in_doubt() {
            self.metrics.uncertain.increment(unsettled.batch.requests());
            return;
        }
        let id = self.next_id();
        self.unsettled = Some(Unsettled {
            batch: Batch {
                id,
                ..unsettled.batch
            },
            give_up_at: Instant::now() + DOUBT_MAX,
            ..unsettled
        });
    }

    /// What has not been written, when nothing more will be. To be called once.
    pub fn end(self) -> UsageLeft {
        let counters = self.quota.usage.pending(present());
        let mut left = UsageLeft {
            dropped: counters.iter().map(|(_, counter)| counter.pending()).sum(),
            uncertain: 0,
        };
        if let Some(unsettled) = &self.unsettled {
            let requests = unsettled.batch.requests();
            if unsettled.is_in_doubt() {
                left.uncertain = requests;
            } else {
                left.dropped += requests;
            }
        }
        self.metrics.uncertain.increment(left.uncertain);
        self.metrics.shutdown_dropped.increment(left.dropped);
        if left != UsageLeft::default() {
            (self.say)(&Notice::UsageLeft {
                dropped: left.dropped,
                uncertain: left.uncertain,
            });
        }
        left
    }
}

impl Unsettled {
    fn is_in_doubt(&self) -> bool {
        self.batch.in_doubt || self.asking
    }
}

fn present() -> Bucket {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Bucket::of(now.as_secs().cast_signed())
}

#[cfg(test)]
mod tests;
