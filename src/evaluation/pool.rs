//! Threads for large stages, and turns on them. Knows nothing of requests.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Threads for large stages, and how many requests may use them at a time.
#[derive(Debug)]
pub struct EvaluationPool {
    pub(super) threads: rayon::ThreadPool,
    pub(super) threshold: usize,
    permits: Semaphore,
    wait: Duration,
}

impl EvaluationPool {
    /// `threshold`: flags in a stage from which on it is split, 0 never. `requests_max`: requests on the pool
    /// at once, 0 for a third of its threads (`evaluation.md` 17). `wait`: for a turn, 0 without limit.
    /// `None` when parallel evaluation is off, by setting or because threads cannot be had.
    #[must_use]
    pub fn new(threshold: usize, requests_max: usize, wait: Duration) -> Option<Self> {
        Self::with_threads(0, threshold, requests_max, wait)
    }

    /// The same with so many threads; 0: as many as there are processors.
    #[must_use]
    pub fn with_threads(
        threads: usize,
        threshold: usize,
        requests_max: usize,
        wait: Duration,
    ) -> Option<Self> {
        if threshold == 0 {
            return None;
        }
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|at| format!("evaluate-{at}"))
            .build()
            .ok()?;
        let permits = if requests_max > 0 {
            requests_max
        } else {
            threads.current_num_threads().div_ceil(3)
        };
        Some(Self {
            threads,
            threshold,
            permits: Semaphore::new(permits),
            wait,
        })
    }

    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, EvaluationError> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        let busy = EvaluationError::Busy { waited: self.wait };
        let permit = if self.wait.is_zero() {
            self.permits.acquire().await
        } else {
            tokio::time::timeout(self.wait, self.permits.acquire())
                .await
                .map_err(|_| busy)?
        };
        permit.map_err(|_| busy)
    }
}

/// Why a request as a whole could not be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvaluationError {
    /// No turn on the pool in time.
    Busy {
        /// How long the request waited.
        waited: Duration,
    },
}
