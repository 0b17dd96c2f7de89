//! From settings to what the parts of the program take.

use feature_flags::config::Config;
use feature_flags::snapshot::TieredSettings;

/// How projects are loaded.
pub fn tiered_settings(config: &Config) -> TieredSettings {
    let settings = &config.snapshot;
    TieredSettings {
        skip_team_fallback: settings.skip_database_fallback,
        cohort_bytes_max: settings.cohort_capacity_bytes,
        cohort_ttl: settings.cohort_ttl,
        group_types_max: settings.group_type_entries_max,
        group_types_ttl: settings.group_type_ttl,
    }
}
