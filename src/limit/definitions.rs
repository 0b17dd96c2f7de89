//! The limiter of `/flags/definitions`, by team (`http.md` 13.6).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ahash::RandomState;
use governor::clock::{Clock, MonotonicClock};
use metrics::{Counter, counter};
use tokio::sync::Notify;

use super::limiter::{Counters, Limiter, LimiterSettings, Mode, Verdict};
use super::quota;
use super::states::KeyHash;
use crate::config::{DefinitionsSettings, Period, Rate, TeamSet};

/// Limits teams; requests that carry `If-None-Match` have larger buckets of their own, as most of them are answered
/// without a body.
#[derive(Debug)]
pub struct DefinitionsLimiter<C: Clock = MonotonicClock> {
    pub(super) full: Limiter<C>,
    pub(super) conditional: Limiter<C>,
    teams: RandomState,
    unlimited: TeamSet,
    bypassed: Counter,
}

impl<C: Clock + Clone> DefinitionsLimiter<C> {
    pub(super) fn new(
        settings: &DefinitionsSettings,
        entries_max: usize,
        clock: &C,
        full: &Arc<Notify>,
    ) -> Self {
        let teams = RandomState::new();
        let mode = Mode::of(settings.log_only);
        let limiter = |default_per_minute: u32, own: BTreeMap<i32, Rate>| {
            let own = own
                .into_iter()
                .map(|(team, rate)| (key(&teams, team), quota::of(rate)));
            let settings = LimiterSettings {
                quota: quota::of(per_minute(default_per_minute)),
                own: own.collect::<HashMap<_, _>>(),
                mode,
                warn_ratio: 0.0,
                entries_max,
                counters: counters(),
            };
            Limiter::new(settings, clock, full)
        };
        Self {
            full: limiter(settings.default_rate_per_minute, full_rates(settings).clone()),
            conditional: limiter(settings.conditional_rate_per_minute, conditional_rates(settings)),
            unlimited: settings.unlimited_teams.clone(),
            bypassed: counter!("flags_flag_definitions_rate_limit_bypassed_total"),
            teams,
        }
    }
}

impl<C: Clock> DefinitionsLimiter<C> {
    /// Charges a request to a team. `conditional`: it carries `If-None-Match`. Never [`Verdict::Warned`].
    pub fn check(&self, team_id: i32, conditional: bool) -> Verdict {
        if self.unlimited.contains(team_id) {
            self.bypassed.increment(1);
            return Verdict::Allowed;
        }
        let limiter = if conditional {
            &self.conditional
        } else {
            &self.full
        };
        limiter.check(key(&self.teams, team_id))
    }
}

fn key(teams: &RandomState, team_id: i32) -> KeyHash {
    KeyHash(teams.hash_one(team_id))
}

fn per_minute(requests: u32) -> Rate {
    Rate {
        requests,
        period: Period::Minute,
    }
}

/// The seed's variable first; the later name when that has no entry.
fn full_rates(settings: &DefinitionsSettings) -> &BTreeMap<i32, Rate> {
    if settings.rate_limits.rates.is_empty() {
        &settings.local_eval_rate_limits.rates
    } else {
        &settings.rate_limits.rates
    }
}

/// A team whose limit was raised is not held to less because its clients send an `ETag` back, and one whose limit was
/// lowered cannot get around that by sending one: its conditional requests are lowered by as much.
fn conditional_rates(settings: &DefinitionsSettings) -> BTreeMap<i32, Rate> {
    let usual = quota::per_day(per_minute(settings.conditional_rate_per_minute));
    let full = quota::per_day(per_minute(settings.default_rate_per_minute));
    let changed = full_rates(settings).iter().filter_map(|(team, rate)| {
        let per_day = quota::per_day(*rate);
        if per_day > usual {
            Some((*team, *rate))
        } else if per_day < full {
            let times = settings.conditional_rate_per_minute / settings.default_rate_per_minute;
            let requests = rate.requests.saturating_mul(times.max(1));
            Some((*team, Rate { requests, ..*rate }))
        } else {
            None
        }
    });
    let mut rates: BTreeMap<i32, Rate> = changed.collect();
    rates.extend(&settings.conditional_rate_limits.rates);
    rates
}

/// Requests over the limit are counted by who asked, by team.
fn counters() -> Counters {
    Counters {
        exceeded: Counter::noop(),
        warned: Counter::noop(),
        shared: counter!("feature_flags_rate_limiter_shared_bucket_total", "limiter" => "definitions"),
    }
}
