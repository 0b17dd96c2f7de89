//! Every metric that this program exports: name, kind, labels, meaning. The table in `METRICS.md` is checked against it, and so
//! is the source text: a metric that is recorded somewhere has its line here.
//!
//! Names without our prefix are upstream's (`http.md` 17, `storage.md` 2.11, 5.9, 6.6), in upstream's units.

/// What kind of samples a metric has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
}

impl Kind {
    /// The word of the text form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, one phrase with its unit.
    pub help: &'static str,
}

macro_rules! catalog {
    ($($kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// All of them.
        pub const CATALOG: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        }),*];
    };
}

catalog! {
    Counter "http_requests_total" ["method", "path", "status"] "Requests answered, all routes";
    Histogram "http_requests_duration_seconds" ["method", "path", "status"] "Seconds from the head of a request to its answer, all routes";
}
