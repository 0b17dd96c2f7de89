//! What an installation decides about built configuration.

use crate::config::{RemoteConfigSettings, TeamSet};

/// The settings of `http.md` 16.2 that configuration depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigOptions {
    /// `analytics.endpoint`; empty: no `analytics` for anybody.
    pub analytics_endpoint: String,
    /// Teams without `analytics`.
    pub analytics_excluded: TeamSet,
    /// Teams without `elementsChainAsString`.
    pub elements_chain_excluded: TeamSet,
}

impl Default for ConfigOptions {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            analytics_endpoint: "/i/v0/e/".to_owned(),
            analytics_excluded: TeamSet::None,
            elements_chain_excluded: TeamSet::None,
        }
    }
}

impl From<&RemoteConfigSettings> for ConfigOptions {
    fn from(settings: &RemoteConfigSettings) -> Self {
        Self {
            analytics_endpoint: settings.analytics_endpoint.clone(),
            analytics_excluded: settings.analytics_excluded_teams.clone(),
            elements_chain_excluded: settings.elements_chain_excluded_teams.clone(),
        }
    }
}
