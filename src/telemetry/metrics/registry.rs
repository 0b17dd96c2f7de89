//! Which series there are, and how many there may be.
//!
//! A series stays as long as the process: counters that vanish would look like restarts. So their number is bounded for
//! each metric; beyond the bound the values of labels that clients choose become `other`.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Key;

use super::buckets::bounds_of;
use super::cells::{FixedHistogram, ShardedCounter};
use super::exposition::{label_name, label_text, metric_name};

/// Series of one metric with labels of their own (`http.md` 17.3).
pub const SERIES_MAX: usize = 1000;

/// Series beyond them whose open labels are `other`: combinations of labels that the program chooses.
const OTHER_SERIES_MAX: usize = 256;

/// Stands for all values beyond the bound.
const OTHER: &str = "other";

/// Labels whose values come from outside.
const OPEN_LABELS: &[&str] = &["token", "ip", "team_id", "key", "cache_key"];

/// A series' memory.
#[derive(Debug, Clone)]
pub enum Series {
    Counter(Arc<ShardedCounter>),
    /// The bits of an `f64`.
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<FixedHistogram>),
}

impl Series {
    /// The word after `# TYPE`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// All series of one metric, for writing.
#[derive(Debug)]
pub struct Family {
    pub name: Arc<str>,
    pub help: Option<Arc<str>>,
    /// Label text, without braces, and memory, in the order of their text.
    pub series: Vec<(Arc<str>, Series)>,
}

#[derive(Default)]
struct Entry {
    help: Option<Arc<str>>,
    series: HashMap<Arc<str>, Series>,
}

/// See the module.
pub struct Registry {
    entries: Mutex<BTreeMap<Arc<str>, Entry>>,
    shards: usize,
}

impl Registry {
    /// Without any series; counters and histograms will have this many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            entries: Mutex::default(),
            shards,
        }
    }

    /// Sets the text after `# HELP`.
    pub fn describe(&self, name: &str, help: &str) {
        let name = metric_name(name);
        self.locked().entry(name.as_ref().into()).or_default().help = Some(help.into());
    }

    /// `None` when the name is one of another kind of metric.
    pub fn counter(&self, key: &Key) -> Option<Arc<ShardedCounter>> {
        let make = || Series::Counter(Arc::new(ShardedCounter::new(self.shards)));
        match self.series(key, make) {
            Series::Counter(counter) => Some(counter),
            _ => None,
        }
    }

    /// As [`Registry::counter`].
    pub fn gauge(&self, key: &Key) -> Option<Arc<AtomicU64>> {
        match self.series(key, || Series::Gauge(Arc::default())) {
            Series::Gauge(gauge) => Some(gauge),
            _ => None,
        }
    }

    /// As [`Registry::counter`].
    pub fn histogram(&self, key: &Key) -> Option<Arc<FixedHistogram>> {
        let make = || Series::Histogram(Arc::new(FixedHistogram::new(bounds_of(key.name()), self.shards)));
        match self.series(key, make) {
            Series::Histogram(histogram) => Some(histogram),
            _ => None,
        }
    }

    /// Everything there is, in the order of names. The lock is held while handles are copied, not while they are read.
    pub fn families(&self) -> Vec<Family> {
        let mut families: Vec<Family> = self
            .locked()
            .iter()
            .filter(|(_, entry)| !entry.series.is_empty())
            .map(|(name, entry)| Family {
                name: Arc::clone(name),
                help: entry.help.clone(),
                series: entry
                    .series
                    .iter()
                    .map(|(labels, series)| (Arc::clone(labels), series.clone()))
                    .collect(),
            })
            .collect();
        for family in &mut families {
            family
                .series
                .sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        }
        families
    }

    /// The series of a key, whatever its kind; a new one if there is none and the bound allows it.
    fn series(&self, key: &Key, make: impl Fn() -> Series) -> Series {
        let labels = sorted(key);
        let mut entries = self.locked();
        let entry = entries
            .entry(metric_name(key.name()).as_ref().into())
            .or_default();
        let (kind, made) = (entry.series.values().next().map(Series::kind), make());
        if kind.is_some_and(|kind| kind != made.kind()) {
            // The same name for two kinds of things is a defect; whoever came second records nothing.
            return entry.series.values().next().cloned().unwrap_or(made);
        }
        let bounds = [SERIES_MAX, SERIES_MAX + OTHER_SERIES_MAX, usize::MAX];
        let texts = [
            label_text(&labels),
            label_text(&replaced(&labels, |name| OPEN_LABELS.contains(&name))),
            label_text(&replaced(&labels, |_| true)),
        ];
        for (text, bound) in texts.into_iter().zip(bounds) {
            if let Some(series) = entry.series.get(text.as_str()) {
                return series.clone();
            }
            if entry.series.len() < bound {
                entry.series.insert(text.into(), made.clone());
                break;
            }
        }
        made
    }

    /// Every critical section leaves the map whole.
    fn locked(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Labels by name, so that their order does not make a series; of two with one name the last one counts.
fn sorted(key: &Key) -> BTreeMap<String, String> {
    key.labels()
        .map(|label| (label_name(label.key()).into_owned(), label.value().to_owned()))
        .collect()
}

fn replaced(labels: &BTreeMap<String, String>, is_open: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(name, value)| {
            let value = if is_open(name) { OTHER } else { value };
            (name.clone(), value.to_owned())
        })
        .collect()
}
