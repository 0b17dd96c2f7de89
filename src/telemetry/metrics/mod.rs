//! The process's metrics: a recorder behind the `metrics` facade, and their text form for `/metrics`.
//!
//! Whoever counts something resolves its handles once, with the facade's macros, and keeps them; what a handle records
//! goes to atomics, a set for each group of threads, without a lock, a look-up or an allocation. Registering a series
//! and rendering take the registry's lock, recording never does. Without [`install`] every handle does nothing.
//!
//! `cells.rs` is what is recorded to, `registry.rs` which series there are and how many, `exposition.rs` the text,
//! `buckets.rs` the bounds of histograms, `catalog.rs` every metric that this program exports.

pub mod buckets;
pub mod catalog;
mod cells;
mod exposition;
pub mod process;
mod recorder;
mod registry;
pub(crate) mod shard;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use self::registry::Registry;
pub use self::registry::SERIES_MAX;

/// `Content-Type` of the text form (`http.md` 14).
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Makes the text form of everything that was recorded in this process.
#[derive(Clone)]
pub struct Exporter {
    registry: Arc<Registry>,
    /// Size of the last text, so that the next one is written without growing its buffer.
    last_bytes: Arc<AtomicUsize>,
}

/// A process has one recorder: the facade knows no more.
static EXPORTER: OnceLock<Exporter> = OnceLock::new();

/// Installs the recorder, to be called before anything that keeps handles is built: handles made before it record nothing,
/// for ever. Further calls give the same exporter.
pub fn install() -> Exporter {
    EXPORTER
        .get_or_init(|| {
            let exporter = Exporter::new();
            // Fails only when something else installed a recorder; ours then exports nothing.
            let _ = metrics::set_global_recorder(recorder::SharedRecorder(Arc::clone(&exporter.registry)));
            exporter
        })
        .clone()
}

impl Exporter {
    /// Over a registry of its own, which knows the catalogue's descriptions.
    fn new() -> Self {
        let registry = Registry::new(shard::count());
        for metric in catalog::CATALOG {
            registry.describe(metric.name, metric.help);
        }
        Self {
            registry: Arc::new(registry),
            last_bytes: Arc::default(),
        }
    }

    /// The text form, Prometheus 0.0.4. Takes time in proportion to the series that there are, some milliseconds for ten
    /// thousand of them: not for a thread that serves requests.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.last_bytes.load(Ordering::Relaxed) + 1024);
        for family in self.registry.families() {
            exposition::write_family(&family, &mut out);
        }
        self.last_bytes.store(out.len(), Ordering::Relaxed);
        out
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exporter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
