//! Latencies as counts of ranges. Within a range values are taken to lie evenly, as Prometheus' `histogram_quantile` takes them.

use std::fmt;

/// Values above `low`, up to `high`. `high` may be infinite: then all values count as `low`, because nothing more is known of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Seconds.
    pub low: f64,
    /// Seconds.
    pub high: f64,
    /// Values.
    pub count: u64,
}

/// Counts of ascending ranges that do not overlap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Without empty ones.
    cells: Vec<Cell>,
    /// Values up to the end of each cell.
    ends: Vec<u64>,
}

/// Why ranges are no histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistogramError {
    /// A range that is below the one before it, reversed, negative or no number.
    Order,
    /// More values than can be counted.
    Overflow,
}

impl fmt::Display for HistogramError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Order => "bounds of the histogram do not ascend",
            Self::Overflow => "the histogram counts more than 2^63 values",
        })
    }
}

impl Histogram {
    /// Of ranges in ascending order.
    ///
    /// # Errors
    /// When they overlap, or count more than 2^63 values.
    pub fn new(cells: impl IntoIterator<Item = Cell>) -> Result<Self, HistogramError> {
        let mut histogram = Self::default();
        let (mut last, mut total) = (0.0, 0_u64);
        for cell in cells {
            if !(cell.low.is_finite() && cell.low >= last && cell.high >= cell.low) {
                return Err(HistogramError::Order);
            }
            last = cell.high;
            if cell.count > 0 {
                total = total
                    .checked_add(cell.count)
                    .filter(|total| *total <= 1 << 63)
                    .ok_or(HistogramError::Overflow)?;
                histogram.cells.push(cell);
                histogram.ends.push(total);
            }
        }
        Ok(histogram)
    }

    /// Of upper bounds, ascending, and the values between each and the one before.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_buckets(buckets: impl IntoIterator<Item = (f64, u64)>) -> Result<Self, HistogramError> {
        let mut low = 0.0;
        Self::new(buckets.into_iter().map(|(high, count)| {
            let cell = Cell { low, high, count };
            low = high;
            cell
        }))
    }

    /// Number of values.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    /// Ranges that have values.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The value that a share of all values (0 to 1) does not exceed; `None` without values.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share.clamp(0.0, 1.0) * self.total() as f64;
        let at = self
            .ends
            .partition_point(|end| (*end as f64) < rank)
            .min(self.cells.len().checked_sub(1)?);
        let cell = self.cells.get(at)?;
        if !cell.high.is_finite() {
            return Some(cell.low);
        }
        let before = self.ends.get(at)? - cell.count;
        let within = ((rank - before as f64) / cell.count as f64).clamp(0.0, 1.0);
        Some(cell.low + (cell.high - cell.low) * within)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Histogram, HistogramError};

    #[test]
    fn quantiles_lie_evenly_within_a_range() {
        let histogram =
            Histogram::from_buckets([(1.0, 10), (2.0, 0), (4.0, 30), (f64::INFINITY, 0)]).unwrap();
        assert_eq!(histogram.total(), 40);
        assert_eq!(histogram.quantile(0.0), Some(0.0));
        assert_eq!(histogram.quantile(0.125), Some(0.5));
        assert_eq!(histogram.quantile(0.25), Some(1.0));
        assert_eq!(histogram.quantile(0.625), Some(3.0));
        assert_eq!(histogram.quantile(1.0), Some(4.0));
    }

    #[test]
    fn beyond_the_last_bound_nothing_is_invented() {
        let histogram = Histogram::from_buckets([(1.0, 1), (f64::INFINITY, 9)]).unwrap();
        assert_eq!(histogram.quantile(0.9), Some(1.0));
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        for buckets in [
            [(2.0, 1), (1.0, 1)],
            [(f64::NAN, 1), (1.0, 1)],
            [(-1.0, 1), (1.0, 1)],
        ] {
            assert_eq!(Histogram::from_buckets(buckets), Err(HistogramError::Order));
        }
        let infinite = Cell {
            low: f64::INFINITY,
            high: f64::INFINITY,
            count: 1,
        };
        assert_eq!(Histogram::new([infinite]), Err(HistogramError::Order));
        let many = [(1.0, u64::MAX), (2.0, 1)];
        assert_eq!(Histogram::from_buckets(many), Err(HistogramError::Overflow));
    }
}
