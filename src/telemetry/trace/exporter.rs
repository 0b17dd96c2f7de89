//! The task that takes finished traces to the collector: in batches, with second attempts where the protocol allows them, and
//! within a deadline at the end of the process. Requests never wait for it; what it cannot keep up with is dropped and counted.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::{Counter, counter};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::encode::{self, Resource};
use super::port::{Collector, ExportError, Retry};
use super::queue::{Dropped, Finished, Outlet, SpanCounts};
use crate::telemetry::log;

/// Spans from which on a batch is sent; the last trace of one may be larger. About 150 kB.
const BATCH_SPANS: usize = 512;

/// How long the first trace of a batch waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// Attempts for one batch. Meanwhile traces wait in the queue; a collector that is away for longer costs traces, not memory.
const ATTEMPTS_MAX: u32 = 4;

/// Before the second attempt, and twice as long before each further one, half of it by chance.
const RETRY_FIRST: Duration = Duration::from_millis(500);

/// Longest wait that a collector may ask for.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The exporter of a process.
#[derive(Debug)]
pub struct Exporting {
    ending: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
    /// For an attempt, and for everything that is left at the end.
    limit: Duration,
}

impl Exporting {
    pub(super) fn start(
        traces: Outlet,
        counts: SpanCounts,
        resource: Resource,
        collector: Arc<dyn Collector>,
        limit: Duration,
    ) -> Self {
        let (ending, ended) = watch::channel(None);
        let exporter = Exporter {
            traces,
            counts,
            failures: counter!("feature_flags_trace_export_failures_total"),
            resource,
            collector,
            limit,
            ending: ended,
            failing: false,
        };
        Self {
            ending,
            task: tokio::spawn(exporter.run()),
            limit,
        }
    }

    /// Exports what requests have left up to now, within the limit of one export, and ends. To be called once no request runs
    /// any more.
    pub async fn finish(self) {
        self.ending.send_replace(Some(Instant::now() + self.limit));
        // A task that panicked has said so.
        let _ = self.task.await;
    }
}

struct Exporter {
    traces: Outlet,
    counts: SpanCounts,
    failures: Counter,
    resource: Resource,
    collector: Arc<dyn Collector>,
    limit: Duration,
    /// When everything must be over, once the process ends.
    ending: watch::Receiver<Option<Instant>>,
    /// The last export failed, and the log has said so.
    failing: bool,
}

impl Exporter {
    async fn run(mut self) {
        while let Some(batch) = self.batch().await {
            self.export(batch).await;
        }
    }

    /// The next traces to send; `None`: the process ends, and nothing is left.
    async fn batch(&mut self) -> Option<Vec<Finished>> {
        let first = tokio::select! {
            biased;
            trace = self.traces.next() => trace?,
            () = ended(&mut self.ending) => {
                // What is left is in the queue already.
                self.traces.close();
                self.traces.next().await?
            }
        };
        let mut spans = first.spans.len();
        let mut batch = vec![first];
        let due = Instant::now() + BATCH_DELAY;
        while spans < BATCH_SPANS {
            let next = tokio::select! {
                biased;
                trace = self.traces.next() => trace,
                () = sleep_until(due) => None,
                () = ended(&mut self.ending) => None,
            };
            let Some(next) = next else { break };
            spans += next.spans.len();
            batch.push(next);
        }
        Some(batch)
    }

    async fn export(&mut self, batch: Vec<Finished>) {
        let spans = batch.iter().map(|trace| trace.spans.len()).sum::<usize>();
        let message = Bytes::from(encode::request(&self.resource, &batch));
        drop(batch);
        let mut attempt = 1;
        loop {
            let error = match self.attempt(message.clone()).await {
                Ok(answer) => return self.taken(spans, &answer),
                Err(error) => error,
            };
            self.failures.increment(1);
            let again = match error.retry {
                Retry::Never => None,
                Retry::After(asked) if attempt < ATTEMPTS_MAX => Some(pause(attempt, asked)),
                Retry::After(_) => None,
            };
            let Some(pause) = again.filter(|_| self.ending.borrow().is_none()) else {
                return self.lost(spans, &error);
            };
            attempt += 1;
            // At the end of the process there is one more attempt, at once.
            tokio::select! {
                () = sleep(pause) => {}
                () = ended(&mut self.ending) => {}
            }
        }
    }

    /// One attempt, within its limit and within what is left of the process.
    async fn attempt(&mut self, message: Bytes) -> Result<Bytes, ExportError> {
        let Self {
            collector,
            limit,
            ending,
            ..
        } = self;
        let asking = timeout(*limit, collector.export(message, *limit));
        tokio::pin!(asking);
        let asked = tokio::select! {
            asked = &mut asking => asked,
            () = ended(ending) => {
                let deadline = ending.borrow().unwrap_or_else(Instant::now);
                timeout_at(deadline, asking).await.unwrap_or_else(Err)
            }
        };
        asked.unwrap_or_else(|_| {
            Err(ExportError::later(format!(
                "no answer within {} s",
                limit.as_secs_f64()
            )))
        })
    }

    fn taken(&mut self, spans: usize, answer: &[u8]) {
        let rejected = encode::rejected(answer);
        let left = rejected.as_ref().map_or(0, |(spans, _)| *spans);
        let left = usize::try_from(left).unwrap_or(usize::MAX).min(spans);
        self.counts.exported(spans - left);
        self.counts.dropped(Dropped::NotTaken, left);
        match rejected {
            // Said once, until everything is taken again.
            Some((_, why)) if !self.failing => {
                self.failing = true;
                let place = self.collector.place();
                log::warn(format_args!(
                    "traces: {place} took all but {left} of {spans} spans: {why}"
                ));
            }
            None if self.failing => {
                self.failing = false;
                log::info(format_args!(
                    "traces: {} takes them again",
                    self.collector.place()
                ));
            }
            _ => {}
        }
    }

    fn lost(&mut self, spans: usize, error: &ExportError) {
        self.counts.dropped(Dropped::NotTaken, spans);
        if !std::mem::replace(&mut self.failing, true) {
            let place = self.collector.place();
            log::warn(format_args!(
                "traces: {place} does not take them, they are dropped until it does: {}",
                error.detail
            ));
        }
    }
}

/// Returns once the process ends; at once when it does already.
async fn ended(ending: &mut watch::Receiver<Option<Instant>>) {
    // The sender gone: nobody waits for the end.
    if ending.wait_for(Option::is_some).await.is_err() {
        std::future::pending().await
    }
}

/// Before the attempt after this one: what the collector asks for, else twice as long each time.
fn pause(attempt: u32, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked.min(RETRY_MAX);
    }
    let whole = RETRY_FIRST * (1 << (attempt - 1).min(6));
    let random = (RandomState::new().build_hasher().finish() >> 32) as u32;
    whole.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
