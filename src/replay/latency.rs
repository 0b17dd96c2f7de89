//! How long answers took: HdrHistograms in nanoseconds, three significant digits.

use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

/// Longer ones count as this; a request's time limit is shorter.
const LONGEST: Duration = Duration::from_secs(600);

/// Digits that are told apart: 0.1%.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Tag of an interval of requests that failed, as `canary` knows it.
const FAILURE_TAG: &str = "error";

/// In logs, values are nanoseconds and the maximum is shown in milliseconds, as the format's own tools do.
const NANOSECONDS_PER_MILLISECOND: f64 = 1_000_000.0;

/// Latencies of one server.
pub struct Latencies(Histogram<u64>);

impl fmt::Debug for Latencies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Latencies")
            .field("count", &self.0.len())
            .finish_non_exhaustive()
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// None yet.
    ///
    /// # Panics
    /// Never: the bounds are constants that the library accepts, which a test holds.
    #[must_use]
    pub fn new() -> Self {
        Self(
            Histogram::new_with_bounds(1_000, nanoseconds(LONGEST), SIGNIFICANT_DIGITS)
                .expect("constants within the library's bounds"),
        )
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(nanoseconds(latency.min(LONGEST)));
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value that a share of them does not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }

    /// Writes a HdrHistogram log (V2), as its own tools and `canary` read it: an interval of these, and one of those that `failed`, if any did, with the
    /// tag that says so.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_log(
        &self,
        failed: &Self,
        out: &mut impl Write,
        began: SystemTime,
        took: Duration,
    ) -> io::Result<()> {
        let mut serializer = V2DeflateSerializer::new();
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("latencies in nanoseconds, written by feature-flags replay")
            .with_start_time(began)
            .with_base_time(began)
            .with_max_value_divisor(NANOSECONDS_PER_MILLISECOND)
            .begin_log_with(out, &mut serializer)?;
        let mut write = |latencies: &Self, tag| {
            log.write_histogram(&latencies.0, Duration::ZERO, took, tag)
                .map_err(|error| io::Error::other(error.to_string()))
        };
        write(self, None)?;
        if failed.count() > 0 {
            write(failed, Tag::new(FAILURE_TAG))?;
        }
        Ok(())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
