//! The two limiters of `POST /flags` (`http.md` 15.1, 15.2): by client address, by project token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::RandomState;
use governor::Quota;
use governor::clock::{Clock, MonotonicClock};
use metrics::counter;
use tokio::sync::Notify;

use super::limiter::{Counters, Limiter, LimiterSettings, Mode, Verdict};
use super::quota;
use super::states::KeyHash;
use crate::config::RateLimitSettings;

/// Limits by client address.
#[derive(Debug)]
pub struct AddressLimiter<C: Clock = MonotonicClock> {
    pub(super) limiter: Option<Limiter<C>>,
    addresses: RandomState,
}

impl<C: Clock + Clone> AddressLimiter<C> {
    pub(super) fn new(settings: &RateLimitSettings, clock: &C, full: &Arc<Notify>) -> Self {
        const NAME: &str = "flags_ip_rate_limit_exceeded_total";
        let quota = quota::per_second(settings.ip_per_second, settings.ip_burst);
        let mode = Mode::of(settings.ip_log_only);
        Self {
            limiter: settings.ip_enabled.then(|| {
                let settings = limiter_settings(settings, quota, mode, counters(NAME, "ip", mode));
                Limiter::new(settings, clock, full)
            }),
            addresses: RandomState::new(),
        }
    }
}

impl<C: Clock> AddressLimiter<C> {
    /// Whether addresses are limited at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.limiter.is_some()
    }

    /// Charges a request to a client.
    pub fn check(&self, client: IpAddr) -> Verdict {
        match &self.limiter {
            Some(limiter) => limiter.check(KeyHash(self.addresses.hash_one(client))),
            None => Verdict::Allowed,
        }
    }

    /// Whether answers to clients above the threshold carry a warning.
    #[must_use]
    pub fn warns(&self) -> bool {
        self.limiter.as_ref().is_some_and(Limiter::warns)
    }
}

/// Limits by project token, or by client address where a request names no token.
#[derive(Debug)]
pub struct TokenLimiter<C: Clock = MonotonicClock> {
    pub(super) limiter: Option<Limiter<C>>,
    tokens: RandomState,
    /// Other secrets than those of tokens, so that no token can be made that meets an address.
    addresses: RandomState,
}

impl<C: Clock + Clone> TokenLimiter<C> {
    pub(super) fn new(settings: &RateLimitSettings, clock: &C, full: &Arc<Notify>) -> Self {
        const NAME: &str = "flags_rate_limit_exceeded_total";
        let tokens = RandomState::new();
        let quota = quota::per_second(settings.token_per_second, settings.token_burst);
        let own = settings.token_overrides.rates.iter();
        let own = own.map(|(token, rate)| (KeyHash(tokens.hash_one(token.as_str())), quota::of(*rate)));
        let mode = Mode::of(settings.token_log_only);
        Self {
            limiter: settings.token_enabled.then(|| {
                let mut settings = limiter_settings(settings, quota, mode, counters(NAME, "token", mode));
                settings.own = own.collect();
                Limiter::new(settings, clock, full)
            }),
            tokens,
            addresses: RandomState::new(),
        }
    }
}

impl<C: Clock> TokenLimiter<C> {
    /// Whether tokens are limited at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.limiter.is_some()
    }

    /// Charges a request to a project token, of any length, whether a project has it or not.
    pub fn check(&self, token: &str) -> Verdict {
        match &self.limiter {
            Some(limiter) => limiter.check(KeyHash(self.tokens.hash_one(token))),
            None => Verdict::Allowed,
        }
    }

    /// Charges a request without a token to its client.
    pub fn check_address(&self, client: IpAddr) -> Verdict {
        match &self.limiter {
            Some(limiter) => limiter.check(KeyHash(self.addresses.hash_one(client))),
            None => Verdict::Allowed,
        }
    }

    /// Whether answers to clients above the threshold carry a warning.
    #[must_use]
    pub fn warns(&self) -> bool {
        self.limiter.as_ref().is_some_and(Limiter::warns)
    }
}

fn limiter_settings(
    settings: &RateLimitSettings,
    quota: Quota,
    mode: Mode,
    counters: Counters,
) -> LimiterSettings {
    LimiterSettings {
        quota,
        own: HashMap::new(),
        mode,
        warn_ratio: settings.warn_capacity_ratio,
        entries_max: settings.entries_max,
        counters,
    }
}

/// The label `key` is there because upstream has it, and always `other`: tokens and addresses are unbounded, clients choose them,
/// and a token is nothing to show.
fn counters(exceeded: &'static str, key: &'static str, mode: Mode) -> Counters {
    let mode = mode.label();
    Counters {
        exceeded: counter!(exceeded, key => "other", "mode" => mode, "action" => "blocked"),
        warned: counter!(exceeded, key => "other", "mode" => mode, "action" => "warned"),
        shared: counter!("feature_flags_rate_limiter_shared_bucket_total", "limiter" => key),
    }
}
