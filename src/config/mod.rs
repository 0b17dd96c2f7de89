//! Variable names, pure parsers, one typed [`Config`].
//!
//! Start at `settings.rs`: each setting is one line that gives its field, variable, default, parser and
//! meaning. What is read, what is documented and what is listed in [`variables`] is that same line.
//! A complete `Config` exists before a port is bound; every unusable variable is reported at once.

mod error;
pub mod parse;
mod rate;
mod reader;
mod secret;
mod settings;
mod team_set;

pub use error::{ConfigError, InvalidVariable};
pub use rate::{Period, Rate, TeamRates};
pub use reader::{Environment, Source};
pub use secret::Secret;
pub use settings::{
    ConcurrencySettings, ContinuitySettings, CookielessSettings, DatabaseSettings, DefinitionsSettings,
    EvaluationSettings, LogLevel, ObjectStorageSettings, QuotaSettings, RateLimitSettings, RedisSettings,
    RemoteConfigSettings, ServerSettings, ServiceMode, SnapshotSettings, TelemetrySettings,
};
pub use team_set::TeamSet;

use reader::Reader;

/// A variable that the service reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the environment.
    pub name: &'static str,
    /// What is parsed when it is not set.
    pub default: &'static str,
    /// Unit and meaning, one phrase.
    pub meaning: &'static str,
}

macro_rules! sections {
    ($($(#[$doc:meta])* $field:ident: $section:ident, $title:literal;)*) => {
        /// Every setting of the process, read once at start.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[$doc])* pub $field: $section,)*
        }

        /// Titled groups of variables, in the order in which they are worth reading.
        pub const SECTIONS: &[(&str, &[Variable])] = &[$(($title, $section::VARIABLES)),*];

        impl Config {
            /// Reads and checks every variable.
            ///
            /// # Errors
            /// Names all variables that cannot be used, not just the first.
            pub fn read(source: &dyn Source) -> Result<Self, ConfigError> {
                let mut reader = Reader::new(source);
                $(let $field = $section::read(&mut reader);)*
                let invalid = reader.into_invalid();
                match ($($field,)*) {
                    ($(Some($field),)*) if invalid.is_empty() => Ok(Self { $($field),* }),
                    _ => Err(ConfigError { invalid }),
                }
            }
        }
    };
}

sections! {
    /// Listening, connections, start and stop.
    server: ServerSettings, "Server";
    /// How much runs at once, and for how long.
    concurrency: ConcurrencySettings, "Concurrency and deadlines";
    /// The two limiters of the flag routes.
    rate_limit: RateLimitSettings, "Rate limits";
    /// Definitions held in memory.
    snapshot: SnapshotSettings, "Definitions in memory";
    /// Evaluation.
    evaluation: EvaluationSettings, "Evaluation";
    /// Experience continuity.
    continuity: ContinuitySettings, "Experience continuity";
    /// `/flags/definitions`.
    definitions: DefinitionsSettings, "Definitions endpoint";
    /// Billing limits and usage counts.
    quota: QuotaSettings, "Quota and usage";
    /// PostgreSQL.
    database: DatabaseSettings, "PostgreSQL";
    /// Redis.
    redis: RedisSettings, "Redis";
    /// S3.
    object_storage: ObjectStorageSettings, "Object storage";
    /// Cookieless identities.
    cookieless: CookielessSettings, "Cookieless mode";
    /// Configuration fields in answers.
    remote_config: RemoteConfigSettings, "Configuration fields";
    /// Logs, traces, metrics, health.
    telemetry: TelemetrySettings, "Telemetry";
}

/// Every variable that [`Config::read`] reads.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    SECTIONS.iter().flat_map(|(_, variables)| variables.iter())
}

impl Config {
    /// What an operator should be told at start although the process can run.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for entry in &self.definitions.rate_limits.ignored {
            warnings.push(format!("FLAG_DEFINITIONS_RATE_LIMITS: entry {entry} is ignored"));
        }
        for entry in &self.definitions.local_eval_rate_limits.ignored {
            warnings.push(format!("LOCAL_EVAL_RATE_LIMITS: entry {entry} is ignored"));
        }
        warnings
    }
}

#[cfg(test)]
mod tests;
