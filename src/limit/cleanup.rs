//! Removal of idle keys, entry counts, and what is said about requests over a limit.

use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use metrics::{Gauge, gauge};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Limits;
use super::limiter::{Limiter, Since};

/// Between two cleanings, however many keys there is no place for.
const PAUSE: Duration = Duration::from_secs(1);

/// Entry counts as they are published.
#[derive(Debug)]
pub(super) struct Gauges {
    ip: Gauge,
    token: Gauge,
    definitions: Gauge,
}

impl Gauges {
    pub(super) fn new() -> Self {
        Self {
            ip: gauge!("flags_rate_limiter_ip_entries"),
            token: gauge!("flags_rate_limiter_token_entries"),
            definitions: gauge!("flags_rate_limiter_definitions_entries"),
        }
    }
}

/// What happened since the last line was written.
#[derive(Debug, Default)]
struct Report {
    ip: Since,
    token: Since,
    definitions: Since,
}

/// Entries of each limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entries {
    /// Client addresses.
    pub ip: usize,
    /// Project tokens.
    pub token: usize,
    /// Teams, with and without `If-None-Match`.
    pub definitions: usize,
}

impl<C: Clock> Limits<C> {
    /// Keys that have buckets now.
    #[must_use]
    pub fn entries(&self) -> Entries {
        let of = |limiter: &Option<Limiter<C>>| limiter.as_ref().map_or(0, Limiter::entries);
        Entries {
            ip: of(&self.ip.limiter),
            token: of(&self.token.limiter),
            definitions: self.definitions.full.entries() + self.definitions.conditional.entries(),
        }
    }

    /// Forgets keys whose buckets are full and publishes entry counts. Visits every entry, so it is not for a thread that
    /// serves; requests go on meanwhile.
    pub fn clean(&self) {
        self.clean_into(&mut Report::default());
    }

    fn clean_into(&self, report: &mut Report) {
        if let Some(limiter) = &self.ip.limiter {
            report.ip.add(limiter.clean());
        }
        if let Some(limiter) = &self.token.limiter {
            report.token.add(limiter.clean());
        }
        report.definitions.add(self.definitions.full.clean());
        report.definitions.add(self.definitions.conditional.clean());
        let entries = self.entries();
        self.gauges.ip.set(entries.ip as f64);
        self.gauges.token.set(entries.token as f64);
        self.gauges.definitions.set(entries.definitions as f64);
    }

    /// Cleans every `every`, and when there is no place for a new key; runs until it is dropped. Once each `every` at
    /// most, what was let through in log-only mode is said with `say`, one line a limiter.
    pub async fn keep_clean(self: Arc<Self>, every: Duration, say: impl Fn(&str))
    where
        C: Send + Sync + 'static,
        C::Instant: Send + Sync,
    {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut report = Report::default();
        loop {
            let due = tokio::select! {
                _ = ticks.tick() => true,
                () = self.full.notified() => false,
            };
            let limits = Arc::clone(&self);
            // A scan of many entries: not on a thread that serves.
            let cleaned = tokio::task::spawn_blocking(move || {
                limits.clean_into(&mut report);
                report
            });
            report = cleaned.await.unwrap_or_default();
            if due {
                report.lines(every).for_each(|line| say(&line));
                report = Report::default();
            }
            sleep(PAUSE.min(every)).await;
        }
    }
}

impl Since {
    fn add(&mut self, more: Self) {
        self.tolerated += more.tolerated;
        self.shared += more.shared;
    }
}

impl Report {
    fn lines(&self, every: Duration) -> impl Iterator<Item = String> {
        let all = [
            ("ip_rate_limited", self.ip),
            ("token_rate_limited", self.token),
            ("rate_limited", self.definitions),
        ];
        let seconds = every.as_secs();
        all.into_iter().flat_map(move |(code, since)| {
            let tolerated = (since.tolerated > 0).then(|| {
                format!(
                    "{code}: {} requests over the limit were answered in the last {seconds} s (log only)",
                    since.tolerated
                )
            });
            let shared = (since.shared > 0).then(|| {
                format!(
                    "{code}: RATE_LIMITER_ENTRIES_MAX is reached, {} requests shared buckets in the last {seconds} s",
                    since.shared
                )
            });
            tolerated.into_iter().chain(shared)
        })
    }
}
