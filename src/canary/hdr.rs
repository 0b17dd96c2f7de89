//! Reads HdrHistogram logs (V2). Intervals are summed; those with the tag `error` are requests that failed, whose latency is not
//! compared. Sizes that a log claims are checked before anything is allocated for them.

use std::fmt;

use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::Deserializer;

use super::histogram::{Cell, Histogram, HistogramError};
use super::{Answers, Sample};

/// Tag of intervals of failed requests.
pub const ERROR_TAG: &str = "error";

/// Most bytes of one histogram, decompressed; three digits up to an hour of nanoseconds are 350 KB when every bucket is used.
const HISTOGRAM_BYTES_MAX: usize = 8 << 20;

const COMPRESSED_COOKIE: [u8; 4] = 0x1c84_9314_u32.to_be_bytes();
const COOKIE: [u8; 4] = 0x1c84_9313_u32.to_be_bytes();

/// What only an exposition of metrics begins with.
const EXPOSITION_COMMENTS: [&[u8]; 4] = [b"# HELP ", b"# TYPE ", b"# UNIT ", b"# EOF"];

/// Bytes before the counts of an uncompressed histogram.
const HEADER_BYTES: usize = 40;

/// Why a text is no log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HdrError {
    /// From 1; 0: the whole.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// See [`HdrError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Not `[Tag=..,]start,length,maximum,histogram`.
    Form,
    /// No V2 histogram, or one that claims to be larger than it is.
    Histogram,
    /// No interval at all.
    Empty,
    /// Intervals that do not add up.
    Sum(HistogramError),
}

impl fmt::Display for HdrError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            Problem::Form => write!(
                formatter,
                "line {}: not an interval of an HdrHistogram log",
                self.line
            ),
            Problem::Histogram => write!(formatter, "line {}: not a V2 histogram", self.line),
            Problem::Empty => formatter.write_str("an HdrHistogram log without an interval"),
            Problem::Sum(error) => error.fmt(formatter),
        }
    }
}

/// Whether a text begins as a log does: behind comments that are no exposition's, by its legend, a tag or a number.
#[must_use]
pub fn is_log(bytes: &[u8]) -> bool {
    let mut has_head = false;
    for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.is_empty() {
            continue;
        }
        if EXPOSITION_COMMENTS
            .iter()
            .any(|comment| line.starts_with(comment))
        {
            return false;
        }
        if !line.starts_with(b"#") {
            return line.starts_with(b"\"")
                || line.starts_with(b"Tag=")
                || line.first().is_some_and(u8::is_ascii_digit);
        }
        has_head |= line.starts_with(b"#[");
    }
    // Of comments alone, only a log's own say what it is.
    has_head
}

/// Reads a whole log. `unit_seconds`: what its values count in, 1e-9 for nanoseconds.
///
/// # Errors
/// Where it is no log.
pub fn parse(bytes: &[u8], unit_seconds: f64) -> Result<Sample, HdrError> {
    let mut all: Option<Hdr<u64>> = None;
    let (mut failed, mut intervals) = (0_u64, 0);
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |problem| HdrError {
            line: number + 1,
            problem,
        };
        let text = std::str::from_utf8(line)
            .map_err(|_| wrong(Problem::Form))?
            .trim();
        if text.is_empty() || text.starts_with(['#', '"']) {
            continue;
        }
        let (tag, text) = match text.strip_prefix("Tag=") {
            Some(tagged) => tagged.split_once(',').ok_or(wrong(Problem::Form))?,
            None => ("", text),
        };
        let fields: Vec<_> = text.splitn(4, ',').collect();
        let [start, length, maximum, histogram] = fields.as_slice() else {
            return Err(wrong(Problem::Form));
        };
        if [start, length, maximum]
            .iter()
            .any(|field| field.parse::<f64>().is_err())
        {
            return Err(wrong(Problem::Form));
        }
        let interval = decode(histogram).ok_or(wrong(Problem::Histogram))?;
        intervals += 1;
        if tag == ERROR_TAG {
            failed = failed.saturating_add(interval.len());
        } else if let Some(all) = &mut all {
            all.add(&interval).map_err(|_| wrong(Problem::Histogram))?;
        } else {
            let mut first = interval;
            first.auto(true);
            all = Some(first);
        }
    }
    if intervals == 0 {
        return Err(HdrError {
            line: 0,
            problem: Problem::Empty,
        });
    }
    let latency = match all {
        Some(all) => cells(&all, unit_seconds),
        None => Ok(Histogram::default()),
    };
    let latency = latency.map_err(|error| HdrError {
        line: 0,
        problem: Problem::Sum(error),
    })?;
    let answers = Answers {
        total: latency.total().saturating_add(failed),
        client_errors: 0,
        server_errors: failed,
    };
    Ok(Sample { latency, answers })
}

fn cells(all: &Hdr<u64>, unit_seconds: f64) -> Result<Histogram, HistogramError> {
    Histogram::new(all.iter_recorded().map(|step| {
        let value = step.value_iterated_to();
        Cell {
            low: all.lowest_equivalent(value) as f64 * unit_seconds,
            high: all.highest_equivalent(value).saturating_add(1) as f64 * unit_seconds,
            count: step.count_since_last_iteration(),
        }
    }))
}

/// One histogram, compressed or not.
fn decode(base64: &str) -> Option<Hdr<u64>> {
    let bytes = base64_simd::STANDARD.decode_to_vec(base64.trim()).ok()?;
    let plain = match bytes.strip_prefix(&COMPRESSED_COOKIE) {
        Some(rest) => {
            let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
            let compressed = rest.get(4..)?.get(..length)?;
            // What it says of its own size is not believed: the buffer grows until the text fits.
            let mut size = 64 << 10;
            loop {
                let mut plain = vec![0; size];
                match libdeflater::Decompressor::new().zlib_decompress(compressed, &mut plain) {
                    Ok(length) => {
                        plain.truncate(length);
                        break plain;
                    }
                    Err(libdeflater::DecompressionError::InsufficientSpace) if size < HISTOGRAM_BYTES_MAX => {
                        size *= 2
                    }
                    Err(_) => return None,
                }
            }
        }
        None => bytes,
    };
    let length = plain.strip_prefix(&COOKIE)?.get(..4)?.try_into().ok()?;
    if u32::from_be_bytes(length) as usize > plain.len().checked_sub(HEADER_BYTES)? {
        return None;
    }
    Deserializer::new().deserialize(&mut plain.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram as Hdr;
    use hdrhistogram::serialization::{Serializer, V2DeflateSerializer, V2Serializer};

    use super::{HISTOGRAM_BYTES_MAX, Problem, is_log, parse};

    fn encoded(values: &[u64], compressed: bool) -> Vec<u8> {
        let mut histogram = Hdr::<u64>::new_with_bounds(1, 1_000_000_000, 3).unwrap();
        for value in values {
            histogram.record(*value).unwrap();
        }
        let mut bytes = Vec::new();
        if compressed {
            V2DeflateSerializer::new()
                .serialize(&histogram, &mut bytes)
                .unwrap();
        } else {
            V2Serializer::new().serialize(&histogram, &mut bytes).unwrap();
        }
        bytes
    }

    fn line(bytes: &[u8]) -> String {
        format!("0.1,1.0,5.0,{}\n", base64_simd::STANDARD.encode_to_string(bytes))
    }

    #[test]
    fn intervals_are_summed_and_errors_counted() {
        let log = format!(
            "#[Histogram log format version 1.3]\n\"StartTimestamp\",\"Interval_Length\"\n{}{}Tag=error,{}",
            line(&encoded(&[1000, 2000, 3000], true)),
            line(&encoded(&[4000], false)),
            line(&encoded(&[9000, 9000], true)),
        );
        assert!(is_log(log.as_bytes()));
        let sample = parse(log.as_bytes(), 1e-6).unwrap();
        assert_eq!((sample.answers.total, sample.answers.server_errors), (6, 2));
        assert_eq!(sample.latency.total(), 4);
        let median = sample.latency.quantile(0.5).unwrap();
        assert!((median - 0.002).abs() < 0.000_01, "{median}");
    }

    #[test]
    fn logs_and_expositions_are_told_apart_whatever_their_comments() {
        for log in [
            "#[StartTime: 1 (seconds since epoch)]\n",
            "#latencies, written by somebody\n#[StartTime: 1]\n",
            "# spaced\n\n0.0,1.0,2.0,HIST",
            "\"StartTimestamp\"\n",
            "Tag=error,0,1,2,HIST",
        ] {
            assert!(is_log(log.as_bytes()), "{log}");
        }
        for text in [
            "# HELP a b\n",
            "# TYPE a counter\na 1\n",
            "# EOF\n",
            "# by hand\na 1\n",
            "a 1\n",
            "# only\n",
            "",
        ] {
            assert!(!is_log(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn hostile_logs_are_refused() {
        let mut claims_4_gb = encoded(&[1], false);
        claims_4_gb[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        let mut digits = encoded(&[1], false);
        digits[12..16].copy_from_slice(&200_u32.to_be_bytes());
        let mut bomb = 0x1c84_9314_u32.to_be_bytes().to_vec();
        let zeros = vec![0; 4 * HISTOGRAM_BYTES_MAX];
        let mut compressed = vec![0; 1 << 20];
        let length = libdeflater::Compressor::default()
            .zlib_compress(&zeros, &mut compressed)
            .unwrap();
        bomb.extend((length as u32).to_be_bytes());
        bomb.extend(&compressed[..length]);
        let mut cut = encoded(&[1, 2, 3], true);
        cut.pop();
        for bytes in [claims_4_gb, digits, bomb, cut, vec![], vec![1, 2, 3]] {
            assert_eq!(
                parse(line(&bytes).as_bytes(), 1.0).unwrap_err().problem,
                Problem::Histogram
            );
        }
        for text in ["1,2", "a,b,c,d", "Tag=x", "1,2,3\u{0}"] {
            assert_eq!(
                parse(text.as_bytes(), 1.0).unwrap_err().problem,
                Problem::Form,
                "{text}"
            );
        }
        assert_eq!(parse(b"# only\n", 1.0).unwrap_err().problem, Problem::Empty);
    }
}
