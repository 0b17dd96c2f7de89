//! Counters as they stood at one moment, and what happened between two moments.

use std::collections::BTreeMap;
use std::fmt;

use super::histogram::{Histogram, HistogramError};
use super::{Answers, Sample};

/// A bound of a bucket in seconds, as something that can be ordered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound(pub f64);

impl Eq for Bound {}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Counters of one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Requests up to each bound, from `+Inf` down: accumulated, as Prometheus has them.
    pub buckets: BTreeMap<Bound, u64>,
    /// Flag requests by status.
    pub statuses: BTreeMap<u16, u64>,
    /// When the process started, seconds since 1970.
    pub started: Option<f64>,
}

/// Why two readings, or one, say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingError {
    /// A counter fell, or the start changed: these are two processes, or one that was started again.
    Restarted,
    /// Both have the histogram, with other bounds.
    Bounds,
    /// Buckets do not accumulate, or `+Inf` is absent.
    Buckets,
    /// See there.
    Histogram(HistogramError),
}

impl fmt::Display for ReadingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Restarted => {
                "counters of start and end are not of one process (was it started again, or does a balancer answer?)"
            }
            Self::Bounds => "the histogram of the start has other buckets than that of the end",
            Self::Buckets => "the histogram's buckets do not accumulate up to one with le=\"+Inf\"",
            Self::Histogram(error) => return error.fmt(formatter),
        })
    }
}

impl Reading {
    /// What happened since `before`. A histogram that was not there yet counts as zero.
    ///
    /// # Errors
    /// When the readings are not of one process.
    pub fn since(&self, before: &Self) -> Result<Self, ReadingError> {
        if let (Some(one), Some(other)) = (before.started, self.started)
            && (one - other).abs() > 1.0
        {
            return Err(ReadingError::Restarted);
        }
        if !before.buckets.is_empty() && !before.buckets.keys().eq(self.buckets.keys()) {
            return Err(ReadingError::Bounds);
        }
        if before
            .statuses
            .keys()
            .any(|status| !self.statuses.contains_key(status))
        {
            return Err(ReadingError::Restarted);
        }
        fn grown<K: Ord + Copy>(
            before: &BTreeMap<K, u64>,
            after: &BTreeMap<K, u64>,
        ) -> Result<BTreeMap<K, u64>, ReadingError> {
            after
                .iter()
                .map(|(key, count)| {
                    let was = before.get(key).copied().unwrap_or_default();
                    let grown = count.checked_sub(was).ok_or(ReadingError::Restarted)?;
                    Ok((*key, grown))
                })
                .collect()
        }
        Ok(Self {
            buckets: grown(&before.buckets, &self.buckets)?,
            statuses: grown(&before.statuses, &self.statuses)?,
            started: self.started,
        })
    }

    /// Adds another process of the same version.
    ///
    /// # Errors
    /// When its histogram has other bounds.
    pub fn add(&mut self, other: &Self) -> Result<(), ReadingError> {
        if !self.buckets.is_empty() && !self.buckets.keys().eq(other.buckets.keys()) {
            return Err(ReadingError::Bounds);
        }
        for (bound, count) in &other.buckets {
            let sum = self.buckets.entry(*bound).or_default();
            *sum = sum.saturating_add(*count);
        }
        for (status, count) in &other.statuses {
            let sum = self.statuses.entry(*status).or_default();
            *sum = sum.saturating_add(*count);
        }
        Ok(())
    }

    /// As a sample. No histogram at all is one without requests.
    ///
    /// # Errors
    /// When buckets do not accumulate.
    pub fn sample(&self) -> Result<Sample, ReadingError> {
        if self
            .buckets
            .last_key_value()
            .is_some_and(|(bound, _)| bound.0 != f64::INFINITY)
        {
            return Err(ReadingError::Buckets);
        }
        let mut below = 0;
        let mut buckets = Vec::with_capacity(self.buckets.len());
        for (bound, count) in &self.buckets {
            buckets.push((bound.0, count.checked_sub(below).ok_or(ReadingError::Buckets)?));
            below = *count;
        }
        let mut answers = Answers::default();
        for (status, count) in &self.statuses {
            answers.total = answers.total.saturating_add(*count);
            match status {
                400..=499 => answers.client_errors = answers.client_errors.saturating_add(*count),
                500.. => answers.server_errors = answers.server_errors.saturating_add(*count),
                _ => {}
            }
        }
        let latency = Histogram::from_buckets(buckets).map_err(ReadingError::Histogram)?;
        Ok(Sample { latency, answers })
    }
}
